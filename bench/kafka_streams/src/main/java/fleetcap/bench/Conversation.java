package fleetcap.bench;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.CodedOutputStream;
import fleetcap_proto.v1.Common.Connection;
import fleetcap_proto.v1.Common.Direction;
import fleetcap_proto.v1.Connection.ConnectionRecord;
import fleetcap_proto.v1.Connection.DirectionTotals;
import fleetcap_proto.v1.EventOuterClass.Event;
import fleetcap_proto.v1.EventOuterClass.LogEntry;
import fleetcap_proto.v1.EventOuterClass.LogType;
import fleetcap_proto.v1.ExchangeOuterClass.Exchange;
import fleetcap_proto.v1.ExchangeOuterClass.Message;
import fleetcap_proto.v1.Raw.RawBatch;
import fleetcap_proto.v1.Raw.RawEvent;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.function.BiConsumer;

/** One connection: its decoder, its counters, and the records its messages become. */
final class Conversation {
    private static final MessageDigest SHA256 = sha256();
    private static final ByteString PREFACE = ByteString.copyFromUtf8("PRI * HTTP/2");
    private static final int BODY_LIMIT = 64 * 1024;

    private final Connection connection;
    private final String nodeId;
    private final BiConsumer<String, byte[]> out;
    private final String[] eventUuids;
    private final long[] bytes = new long[2];
    private final long[] messages = new long[2];
    private long exchanges;
    private long number;
    private boolean fresh = true;
    private Decoder decoder;

    Conversation(RawBatch batch, byte[] saved, BiConsumer<String, byte[]> out) {
        this.connection = batch.getConnection();
        this.nodeId = batch.getNodeId();
        this.out = out;
        this.eventUuids = new String[] {eventUuid(0), eventUuid(1)};
        if (saved != null) {
            restore(saved);
        }
    }

    boolean isNew() {
        return fresh;
    }

    Connection connection() {
        return connection;
    }

    String nodeId() {
        return nodeId;
    }

    void feed(RawEvent event) {
        int direction = event.getDirectionValue();
        long duplicate = bytes[direction] - event.getPosition();
        ByteString payload = event.getPayload();
        if (duplicate > 0) {
            payload = payload.substring((int) Math.min(duplicate, payload.size()));
        }
        bytes[direction] += payload.size();
        if (decoder == null) {
            decoder = payload.startsWith(PREFACE) ? new Http2Decoder(this) : new Http1Decoder(this, direction, payload);
        }
        decoder.feed(direction, payload, event.getTimestampNs());
    }

    /** A decoded message: its event goes out at once. `head` and `body` are as the event shows them. */
    Message.Builder message(int direction, Message.Builder message, ByteString head, ByteString body, long size, byte[] hash) {
        number++;
        messages[direction]++;
        ByteString kept = body.size() > BODY_LIMIT ? body.substring(0, BODY_LIMIT) : body;
        message.setDirectionValue(direction)
                .setBody(kept)
                .setBodySize(size)
                .setBodySha256(ByteString.copyFrom(hash))
                .setEncodedSize(size)
                .setComplete(true);
        Event.Builder event =
                Event.newBuilder()
                        .setTimestamp(message.getStartNs())
                        .setUuid(eventUuids[direction])
                        .setPid(connection.getProcess().getPid())
                        .setPname(connection.getProcess().getComm())
                        .setSrcIp(connection.getLocal().getIp())
                        .setSrcPort(connection.getLocal().getPort())
                        .setDstIp(connection.getRemote().getIp())
                        .setDstPort(connection.getRemote().getPort())
                        .setType(direction)
                        .setLength((int) (head.size() + size))
                        .setPayload(head.concat(kept))
                        .setProtocol(message.getProtocol())
                        .setConnectionUuid(connection.getUuid())
                        .setNumber(number)
                        .setComplete(true);
        LogEntry entry = LogEntry.newBuilder().setLogType(LogType.LOG_TYPE_EVENT).setEventPayload(event).build();
        out.accept(App.EVENTS, entry.toByteArray());
        return message;
    }

    void exchange(Message request, Message response) {
        exchanges++;
        Exchange exchange =
                Exchange.newBuilder()
                        .setConnectionUuid(connection.getUuid())
                        .setNodeId(nodeId)
                        .setProtocol(response.getProtocol())
                        .setNumber(exchanges)
                        .setProcess(connection.getProcess())
                        .setLocal(connection.getLocal())
                        .setRemote(connection.getRemote())
                        .setRole(connection.getRole())
                        .setRequest(request)
                        .setResponse(response)
                        .setLatencyNs(response.getStartNs() - request.getStartNs())
                        .build();
        out.accept(App.EXCHANGES, exchange.toByteArray());
    }

    byte[] hash(byte[] body, int length) {
        SHA256.update(body, 0, length);
        return SHA256.digest();
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    void totals(ConnectionRecord.Builder record) {
        record.setReceived(DirectionTotals.newBuilder().setBytes(bytes[0]).setMessages(messages[0]))
                .setSent(DirectionTotals.newBuilder().setBytes(bytes[1]).setMessages(messages[1]))
                .setExchanges(exchanges)
                .setProtocol(decoder == null ? "" : decoder.protocol());
    }

    /** What a restart begins with: counters, and what the decoder has of messages that are not complete. */
    byte[] state() {
        ByteArrayOutputStream bytesOut = new ByteArrayOutputStream(128);
        CodedOutputStream coded = CodedOutputStream.newInstance(bytesOut, 128);
        try {
            for (int direction = 0; direction < 2; direction++) {
                coded.writeUInt64NoTag(bytes[direction]);
                coded.writeUInt64NoTag(messages[direction]);
            }
            coded.writeUInt64NoTag(number);
            coded.writeUInt64NoTag(exchanges);
            coded.writeStringNoTag(decoder == null ? "" : decoder.protocol());
            coded.writeByteArrayNoTag(decoder == null ? new byte[0] : decoder.pending());
            coded.flush();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return bytesOut.toByteArray();
    }

    private void restore(byte[] saved) {
        fresh = false;
        CodedInputStream coded = CodedInputStream.newInstance(saved);
        try {
            for (int direction = 0; direction < 2; direction++) {
                bytes[direction] = coded.readUInt64();
                messages[direction] = coded.readUInt64();
            }
            number = coded.readUInt64();
            exchanges = coded.readUInt64();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private String eventUuid(int direction) {
        return "%d_%d_%s_%d_%d_%s:%d-%s:%d"
                .formatted(
                        connection.getProcess().getPid(),
                        connection.getTid(),
                        connection.getProcess().getComm(),
                        connection.getFd(),
                        direction,
                        connection.getLocal().getIp(),
                        connection.getLocal().getPort(),
                        connection.getRemote().getIp(),
                        connection.getRemote().getPort());
    }

    static Direction direction(int number) {
        return Direction.forNumber(number);
    }
}
