/** The request addresses, byte for byte: an operator's INSERT, a task's unique key and the server all depend on them. */
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import {
  hilltopBaseUrl,
  HtsUrl,
  measurementDataLatestUrl,
  measurementDataPeriodUrl,
  measurementDataUrl,
  measurementsListUrl,
  serverOrigin,
  sitesListUrl
} from "../../src/hilltop/HilltopUrl.ts"
import { parseNzst } from "../../src/hilltop/Nzst.ts"

const plain = HtsUrl.make("https://hilltop.example.nz/data.hts")
const at = (text: string): number => parseNzst(text) ?? Number.NaN

describe("the four requests", () => {
  it("ask for the sites with their locations", () => {
    assert.strictEqual(
      sitesListUrl(plain),
      "https://hilltop.example.nz/data.hts?Service=Hilltop&Request=SiteList&Location=Yes"
    )
  })

  it("ask for the measurements of one site", () => {
    assert.strictEqual(
      measurementsListUrl(plain, "Tawa Stream at Mill Road"),
      "https://hilltop.example.nz/data.hts?Service=Hilltop&Request=MeasurementList&Site=Tawa%20Stream%20at%20Mill%20Road"
    )
  })

  it("ask for one month of data, to the last second of its last day", () => {
    assert.strictEqual(
      measurementDataUrl(plain, "R26/6804", "Rainfall [SCADA Rainfall]", "2023-08"),
      "https://hilltop.example.nz/data.hts?Service=Hilltop&Request=GetData&Site=R26/6804" +
        "&Measurement=Rainfall%20%5BSCADA%20Rainfall%5D&from=2023-08-01T00:00&to=2023-08-31T23:59:59"
    )
  })

  it.each([
    ["2023-02", "2023-02-28"],
    ["2024-02", "2024-02-29"],
    ["1900-02", "1900-02-28"],
    ["2000-02", "2000-02-29"],
    ["2023-04", "2023-04-30"],
    ["2023-12", "2023-12-31"]
  ])("end the month %s on %s", (month, lastDay) => {
    assert.include(measurementDataUrl(plain, "S", "M", month), `&from=${month}-01T00:00&to=${lastDay}T23:59:59`)
  })

  it("ask for the last 35 days, counted by the server", () => {
    assert.strictEqual(
      measurementDataLatestUrl(plain, "S", "Flow"),
      "https://hilltop.example.nz/data.hts?Service=Hilltop&Request=GetData&Site=S&Measurement=Flow&TimeInterval=P35D/now"
    )
  })

  it("ask for shorter periods where the usual ones are too large", () => {
    const period = { from: at("2023-08-01T00:00:00"), to: at("2023-08-07T23:59:59") }
    assert.include(
      measurementDataPeriodUrl(plain, "S", "Flow", period),
      "&Measurement=Flow&from=2023-08-01T00:00:00&to=2023-08-07T23:59:59"
    )
    assert.include(measurementDataLatestUrl(plain, "S", "Flow", 7), "TimeInterval=P7D/now")
  })
})

describe("names in a query", () => {
  it.each([
    ["Tawa Stream", "Tawa%20Stream"],
    ["a+b", "a%2Bb"],
    ["Smith & Sons", "Smith%20%26%20Sons"],
    ["a=b", "a%3Db"],
    ["Bore #2", "Bore%20%232"],
    ["Relative humidity (%)", "Relative%20humidity%20(%25)"],
    ["already%20encoded", "already%2520encoded"],
    ["Rainfall [Rainfall]", "Rainfall%20%5BRainfall%5D"],
    ["{x}", "%7Bx%7D"],
    ['say "hi"', "say%20%22hi%22"],
    ["E-Coli <CFU>", "E-Coli%20%3CCFU%3E"],
    ["a\\b|c^d`e", "a%5Cb%7Cc%5Ed%60e"],
    ["Buller Rv @ Te Kuha", "Buller%20Rv%20@%20Te%20Kuha"],
    ["O'Neill d/s", "O'Neill%20d/s"],
    ["Awa-a-Tāne", "Awa-a-T%C4%81ne"],
    ["m³ 🌊", "m%C2%B3%20%F0%9F%8C%8A"],
    ["\ud800", "%EF%BF%BD"],
    ["344187", "344187"],
    ["AZaz09-._~/?:@!$'()*,;", "AZaz09-._~/?:@!$'()*,;"]
  ])("encode %j as %s", (name, encoded) => {
    assert.isTrue(measurementsListUrl(plain, name).endsWith(`&Site=${encoded}`), measurementsListUrl(plain, name))
    assert.include(measurementDataLatestUrl(plain, "S", name), `&Measurement=${encoded}&TimeInterval`)
  })
})

describe("an hts_url", () => {
  it.each([
    ["http://h/mdc data.hts", "http://h/mdc%20data.hts"],
    ["http://h/mdc%20data.hts", "http://h/mdc%20data.hts"],
    ["http://h/100%.hts", "http://h/100%25.hts"],
    ["http://h/100%25 a.hts", "http://h/100%25%20a.hts"],
    ["http://h/t%c4%81ne/tāne.hts", "http://h/t%c4%81ne/t%C4%81ne.hts"],
    ["http://h/\u212a\u017f.hts", "http://h/%E2%84%AA%C5%BF.hts"],
    ["http://h/[x].hts", "http://h/%5Bx%5D.hts"],
    ["http://h//Hilltop//data.hts", "http://h//Hilltop//data.hts"],
    ["http://h:9083/data.hts", "http://h:9083/data.hts"],
    ["http://[::1]:8080/data.hts", "http://[::1]:8080/data.hts"],
    ["  http://h/data.hts\u0020", "http://h/data.hts"],
    ["HTTP://Hilltop.GW.govt.nz/WaterUse.hts", "HTTP://Hilltop.GW.govt.nz/WaterUse.hts"],
    ["http://h/data.hts#top", "http://h/data.hts"],
    ["http://māori.example.nz/data.hts", "http://xn--mori-qsa.example.nz/data.hts"],
    // One server must not have several budgets.
    ["http://127.1:9083/data.hts", "http://127.0.0.1:9083/data.hts"],
    ["https://h:0443/data.hts", "https://h/data.hts"],
    ["http://[0:0::1]/data.hts", "http://[::1]/data.hts"],
    ["https://H.nz:443/data.hts", "https://H.nz:443/data.hts"]
  ])("%s is asked at %s", (given, base) => {
    const htsUrl = HtsUrl.make(given)
    assert.strictEqual(hilltopBaseUrl(htsUrl), base)
    assert.strictEqual(sitesListUrl(htsUrl), `${base}?Service=Hilltop&Request=SiteList&Location=Yes`)
  })

  it.each([
    ["http://h/data.hts?key=a b&x=%20", "key=a%20b&x=%20&"],
    ["http://h/data.hts?", ""],
    ["http://h/data.hts?a=1&", "a=1&"],
    ["http://h/data.hts?a=1+2#frag", "a=1+2&"]
  ])("%s keeps its query in every request", (given, query) => {
    const htsUrl = HtsUrl.make(given)
    for (const url of [
      sitesListUrl(htsUrl),
      measurementsListUrl(htsUrl, "S"),
      measurementDataUrl(htsUrl, "S", "M", "2023-08"),
      measurementDataLatestUrl(htsUrl, "S", "M")
    ]) {
      assert.isTrue(url.startsWith(`http://h/data.hts?${query}Service=Hilltop&Request=`), url)
    }
    assert.strictEqual(hilltopBaseUrl(htsUrl), "http://h/data.hts")
  })

  it.each([
    ["HTTPS://Hilltop.GW.govt.nz/WaterUse.hts", "https://hilltop.gw.govt.nz"],
    ["https://hilltop.gw.govt.nz:443/Data.hts?x=1", "https://hilltop.gw.govt.nz"],
    ["http://data.wcrc.govt.nz:9083/data.hts", "http://data.wcrc.govt.nz:9083"],
    ["http://127.0.0.1:5000/a b.hts", "http://127.0.0.1:5000"]
  ])("%s belongs to the server %s", (given, origin) => {
    assert.strictEqual(serverOrigin(HtsUrl.make(given)), origin)
  })

  it.each([
    ["", "hts_url must be an http:// or https:// address"],
    [`http://h/${"ā".repeat(200)}.hts`, "hts_url must not be longer than 1000 characters"],
    [`http://h/data.hts?a${"&".repeat(1_000_000)}b`, "hts_url must not be longer than 1000 characters"],
    ["data.hts", "hts_url must be an http:// or https:// address"],
    ["ftp://h/data.hts", "hts_url must be an http:// or https:// address"],
    ["file:///etc/passwd", "hts_url must be an http:// or https:// address"],
    ["javascript:alert(1)", "hts_url must be an http:// or https:// address"],
    ["http:h/data.hts", "hts_url must be an http:// or https:// address"],
    ["http:///data.hts", "hts_url must be an http:// or https:// address"],
    ["http://h\\data.hts", "hts_url must be an http:// or https:// address"],
    ["http://h:port/data.hts", "hts_url must be an http:// or https:// address"],
    ["http://a b/data.hts", "hts_url must be an http:// or https:// address"],
    ["http://h/a\nb.hts", "hts_url must not contain control characters"],
    ["http://user:secret@h/data.hts", "hts_url must not contain a user name or password"]
  ])("%j is refused with a readable message", (given, message) => {
    const result = Schema.decodeResult(HtsUrl)(given)
    assert.isTrue(Result.isFailure(result))
    if (Result.isFailure(result)) {
      assert.include(result.failure.message, message)
      assert.notInclude(result.failure.message, "secret")
    }
  })

  it.prop(
    "whatever the names, an address stays one address with the same parts",
    { site: Schema.String, name: Schema.String },
    ({ site, name }) => {
      const url = new URL(measurementDataUrl(plain, site, name, "2023-08"))
      assert.strictEqual(url.searchParams.get("Site"), site.toWellFormed())
      assert.strictEqual(url.searchParams.get("Measurement"), name.toWellFormed())
      assert.strictEqual(url.hash, "")
      assert.deepStrictEqual([...url.searchParams.keys()], ["Service", "Request", "Site", "Measurement", "from", "to"])
    }
  )
})

describe("an hts_url that holds a request", () => {
  const fault = (text: string) =>
    Result.match(Schema.decodeUnknownResult(HtsUrl)(text), {
      onSuccess: () => undefined,
      onFailure: (error) => String(error)
    })

  it.each([
    "https://hilltop.example.nz/data.hts?Service=Hilltop&Request=SiteList",
    "https://hilltop.example.nz/data.hts?service=Hilltop",
    "https://hilltop.example.nz/data.hts?key=abc&REQUEST=GetData&Site=A",
    "https://hilltop.example.nz/data.hts?%52equest=SiteList"
  ])("is refused, and told what is left of it: %s", (url) => {
    assert.include(fault(url) ?? "", "the Hilltop file alone (https://hilltop.example.nz/data.hts)")
  })

  it("is none with parameters of its own", () => {
    assert.isUndefined(fault("https://hilltop.example.nz/data.hts?key=abc&services=all"))
  })
})
