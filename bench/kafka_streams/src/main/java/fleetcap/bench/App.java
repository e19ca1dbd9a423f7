package fleetcap.bench;

import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.StreamPartitioner;
import org.apache.kafka.streams.state.Stores;

/**
 * Raw events to events, exchanges and connection records, as fleetcap's worker does it. Arguments: bootstrap servers,
 * application id, processing guarantee, folder for local state, threads.
 */
public final class App {
    static final String RAW = "fleetcap.raw.v1";
    static final String EVENTS = "fleetcap.events.v1";
    static final String EXCHANGES = "fleetcap.exchanges.v1";
    static final String CONNECTIONS = "fleetcap.connections.v1";
    static final String STATES = "states";

    private App() {}

    public static void main(String[] arguments) {
        KafkaStreams streams = new KafkaStreams(topology(), settings(arguments));
        streams.setUncaughtExceptionHandler(
                error -> {
                    error.printStackTrace();
                    return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse
                            .SHUTDOWN_APPLICATION;
                });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    private static Properties settings(String[] arguments) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[1]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, arguments[2]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[3]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[4]);
        // The worker's checkpoints are as far apart.
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
        // All states stay in the cache between commits, so that the store and its changelog see each once a commit.
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L * 1024 * 1024);
        settings.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 2000);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MAX_BYTES_CONFIG), 50 * 1024 * 1024);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 8 * 1024 * 1024);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 512 * 1024);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 128L * 1024 * 1024);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.MAX_REQUEST_SIZE_CONFIG), 8 * 1024 * 1024);
        return settings;
    }

    private static Topology topology() {
        Topology topology = new Topology();
        var bytes = Serdes.ByteArray();
        Serializer<byte[]> serializer = bytes.serializer();
        StreamPartitioner<byte[], byte[]> sameAsSource =
                (topic, key, value, partitions) ->
                        Optional.of(Set.of(Utils.toPositive(Utils.murmur2(key)) % partitions));
        topology.addSource("raw", bytes.deserializer(), bytes.deserializer(), RAW)
                .addProcessor("connections", ConnectionProcessor::new, "raw")
                .addStateStore(
                        Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(STATES), bytes, bytes)
                                .withCachingEnabled()
                                .withLoggingEnabled(Map.of()),
                        "connections")
                .addSink(EVENTS, EVENTS, serializer, serializer, sameAsSource, "connections")
                .addSink(EXCHANGES, EXCHANGES, serializer, serializer, sameAsSource, "connections")
                .addSink(CONNECTIONS, CONNECTIONS, serializer, serializer, sameAsSource, "connections");
        return topology;
    }
}
