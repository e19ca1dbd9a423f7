package fleetcap.bench;

import com.google.protobuf.InvalidProtocolBufferException;
import fleetcap_proto.v1.Connection.CloseReason;
import fleetcap_proto.v1.Connection.ConnectionRecord;
import fleetcap_proto.v1.Connection.ConnectionState;
import fleetcap_proto.v1.Raw.EventKind;
import fleetcap_proto.v1.Raw.RawBatch;
import fleetcap_proto.v1.Raw.RawEvent;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Feeds each connection's events to its decoder and keeps its state in the store. Decoders live in memory between records, as
 * they cannot be written; what the store holds is what a restart would begin with.
 */
final class ConnectionProcessor implements Processor<byte[], byte[], byte[], byte[]> {
    private final Map<String, Conversation> open = new HashMap<>();
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<byte[], byte[]> states;
    private byte[] key;
    private long timestamp;

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        this.states = context.getStateStore(App.STATES);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        RawBatch batch;
        try {
            batch = RawBatch.parseFrom(record.value());
        } catch (InvalidProtocolBufferException error) {
            return;
        }
        key = record.key();
        timestamp = record.timestamp();
        Conversation conversation = open.get(batch.getConnection().getUuid());
        if (conversation == null) {
            conversation = begin(batch);
        }
        for (RawEvent event : batch.getEventsList()) {
            if (event.getKind() == EventKind.EVENT_KIND_DATA) {
                conversation.feed(event);
            } else if (event.getKind() == EventKind.EVENT_KIND_CLOSED) {
                end(conversation, event);
                return;
            }
        }
        states.put(key, conversation.state());
    }

    private Conversation begin(RawBatch batch) {
        Conversation conversation = new Conversation(batch, states.get(key), this::forward);
        open.put(batch.getConnection().getUuid(), conversation);
        if (conversation.isNew()) {
            forward(App.CONNECTIONS, record(conversation, ConnectionState.CONNECTION_STATE_OPENED).build().toByteArray());
        }
        return conversation;
    }

    private void end(Conversation conversation, RawEvent event) {
        ConnectionRecord.Builder record = record(conversation, ConnectionState.CONNECTION_STATE_CLOSED);
        conversation.totals(record);
        record.setCloseReason(CloseReason.CLOSE_REASON_DESTROYED).setClosedNs(event.getTimestampNs());
        forward(App.CONNECTIONS, record.build().toByteArray());
        open.remove(conversation.connection().getUuid());
        states.delete(key);
    }

    private static ConnectionRecord.Builder record(Conversation conversation, ConnectionState state) {
        return ConnectionRecord.newBuilder()
                .setConnection(conversation.connection())
                .setNodeId(conversation.nodeId())
                .setState(state)
                .setSegment(1);
    }

    private void forward(String topic, byte[] value) {
        context.forward(new Record<>(key, value, timestamp), topic);
    }

}
