// All that a reader of committed records finds in topics, through Kafka's own client: brokers, then topics, as arguments.
// A line for each record: topic, partition, offset, timestamp, key, value, headers; bytes in base64, "-" for none.

import java.io.BufferedOutputStream;
import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class JavaConsumer {
  static String text(byte[] bytes) {
    return bytes == null ? "-" : Base64.getEncoder().encodeToString(bytes);
  }

  static String line(ConsumerRecord<byte[], byte[]> record) {
    String headers = StreamSupport.stream(record.headers().spliterator(), false)
        .map(header -> text(header.key().getBytes()) + ":" + text(header.value()))
        .collect(Collectors.joining(","));
    return String.join("\t", record.topic(), "" + record.partition(), "" + record.offset(), "" + record.timestamp(),
        text(record.key()), text(record.value()), headers);
  }

  public static void main(String[] args) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("isolation.level", "read_committed");
    settings.put("enable.auto.commit", "false");
    PrintStream out = new PrintStream(new BufferedOutputStream(System.out, 1 << 16));
    var bytes = new ByteArrayDeserializer();
    try (var consumer = new KafkaConsumer<byte[], byte[]>(settings, bytes, bytes)) {
      List<TopicPartition> all = new ArrayList<>();
      for (String topic : Arrays.asList(args).subList(1, args.length)) {
        consumer.partitionsFor(topic).forEach(of -> all.add(new TopicPartition(topic, of.partition())));
      }
      consumer.assign(all);
      consumer.seekToBeginning(all);
      // Up to here committed records go now; behind it a transaction may be open.
      Map<TopicPartition, Long> ends = consumer.endOffsets(all);
      while (all.stream().anyMatch(of -> consumer.position(of) < ends.get(of))) {
        for (var record : consumer.poll(Duration.ofMillis(200))) out.println(line(record));
      }
    }
    out.flush();
  }
}
