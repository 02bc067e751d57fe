/** Topics in PostgreSQL, looked at. */
import { EmbeddedTopics } from "../../../layers/topics/EmbeddedTopics.ts"
import { topicBrowserSuite } from "../../api/topicBrowserSuite.ts"

topicBrowserSuite("looking at topics in PostgreSQL", EmbeddedTopics)
