package fleetcap.bench;

import com.google.protobuf.ByteString;
import fleetcap_proto.v1.ExchangeOuterClass.Attribute;
import fleetcap_proto.v1.ExchangeOuterClass.AttributeList;
import fleetcap_proto.v1.ExchangeOuterClass.Header;
import fleetcap_proto.v1.ExchangeOuterClass.Http;
import fleetcap_proto.v1.ExchangeOuterClass.Message;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.http2.DefaultHttp2FrameReader;
import io.netty.handler.codec.http2.DefaultHttp2HeadersDecoder;
import io.netty.handler.codec.http2.Http2EventAdapter;
import io.netty.handler.codec.http2.Http2Exception;
import io.netty.handler.codec.http2.Http2Headers;
import java.io.ByteArrayOutputStream;
import java.util.HashMap;
import java.util.Map;

/** HTTP/2 and gRPC by Netty's frame reader and HPACK decoder, one for each direction. */
final class Http2Decoder implements Decoder {
    private static final int PREFACE_SIZE = 24;
    private static final ChannelHandlerContext CONTEXT =
            new EmbeddedChannel(new ChannelInboundHandlerAdapter()).pipeline().firstContext();

    /** One direction of one stream. */
    private static final class Half {
        final Http.Builder http = Http.newBuilder().setVersion("2");
        final StringBuilder head = new StringBuilder(256);
        final ByteArrayOutputStream body = new ByteArrayOutputStream(128);
        boolean begun;
        boolean grpc;
        long startNs;
        String scheme = "";
        int grpcStatus = -1;
    }

    private static final class Stream {
        final Half[] halves = {new Half(), new Half()};
        final Message[] done = new Message[2];
    }

    private final class Side extends Http2EventAdapter {
        final int direction;
        final DefaultHttp2FrameReader reader = new DefaultHttp2FrameReader(new DefaultHttp2HeadersDecoder(false));
        final ByteBuf data = Unpooled.buffer(1024);
        long timeNs;

        Side(int direction) {
            this.direction = direction;
        }

        void feed(ByteString payload, long timeNs) {
            this.timeNs = timeNs;
            data.writeBytes(payload.asReadOnlyByteBuffer());
            try {
                int before;
                do {
                    before = data.readerIndex();
                    reader.readFrame(CONTEXT, data, this);
                } while (data.isReadable() && data.readerIndex() != before);
            } catch (Http2Exception error) {
                throw new IllegalStateException("HTTP/2 cannot be decoded", error);
            }
            if (data.isReadable()) {
                data.discardReadBytes();
            } else {
                data.clear();
            }
        }

        @Override
        public void onHeadersRead(ChannelHandlerContext context, int id, Http2Headers headers, int padding, boolean end) {
            headers(id, headers, end);
        }

        @Override
        public void onHeadersRead(
                ChannelHandlerContext context,
                int id,
                Http2Headers headers,
                int dependency,
                short weight,
                boolean exclusive,
                int padding,
                boolean end) {
            headers(id, headers, end);
        }

        @Override
        public int onDataRead(ChannelHandlerContext context, int id, ByteBuf part, int padding, boolean end) {
            Half half = streams.computeIfAbsent(id, key -> new Stream()).halves[direction];
            int length = part.readableBytes();
            byte[] bytes = new byte[length];
            part.getBytes(part.readerIndex(), bytes);
            half.body.writeBytes(bytes);
            if (end) {
                finish(id, direction, timeNs);
            }
            return length + padding;
        }

        private void headers(int id, Http2Headers headers, boolean end) {
            Half half = streams.computeIfAbsent(id, key -> new Stream()).halves[direction];
            if (half.begun) {
                trailers(half, headers);
            } else {
                half.begun = true;
                half.startNs = timeNs;
                head(half, headers);
            }
            if (end) {
                finish(id, direction, timeNs);
            }
        }
    }

    private final Conversation conversation;
    private final Map<Integer, Stream> streams = new HashMap<>();
    private final Side[] sides = {new Side(0), new Side(1)};
    private boolean prefaced;

    Http2Decoder(Conversation conversation) {
        this.conversation = conversation;
    }

    @Override
    public void feed(int direction, ByteString payload, long timeNs) {
        ByteString data = payload;
        if (!prefaced) {
            prefaced = true;
            data = payload.substring(PREFACE_SIZE);
        }
        sides[direction].feed(data, timeNs);
    }

    private static void head(Half half, Http2Headers headers) {
        Http.Builder http = half.http;
        for (Map.Entry<CharSequence, CharSequence> field : headers) {
            String name = field.getKey().toString();
            String value = field.getValue().toString();
            switch (name) {
                case ":method" -> http.setMethod(value);
                case ":path" -> http.setTarget(value);
                case ":authority" -> http.setAuthority(value);
                case ":status" -> http.setStatus(Integer.parseInt(value));
                case ":scheme" -> half.scheme = value;
                default -> http.addHeaders(Header.newBuilder().setName(name).setValue(value));
            }
            half.grpc = half.grpc || name.equals("content-type") && value.startsWith("application/grpc");
        }
        StringBuilder text = half.head;
        if (http.getStatus() != 0) {
            text.append("HTTP/2 ").append(http.getStatus());
        } else {
            text.append(http.getMethod()).append(' ').append(http.getTarget()).append(" HTTP/2\r\nhost: ");
            text.append(http.getAuthority());
        }
        for (Header header : http.getHeadersList()) {
            text.append("\r\n").append(header.getName()).append(": ").append(header.getValue());
        }
        text.append("\r\n\r\n");
    }

    private static void trailers(Half half, Http2Headers headers) {
        for (Map.Entry<CharSequence, CharSequence> field : headers) {
            String name = field.getKey().toString();
            half.http.addTrailers(Header.newBuilder().setName(name).setValue(field.getValue().toString()));
            if (name.equals("grpc-status")) {
                half.grpcStatus = Integer.parseInt(field.getValue().toString());
            }
        }
    }

    private void finish(int id, int direction, long timeNs) {
        Stream stream = streams.get(id);
        Half half = stream.halves[direction];
        byte[] body = half.body.toByteArray();
        Message.Builder message =
                Message.newBuilder()
                        .setProtocol(half.grpc ? "grpc" : "http2")
                        .setStartNs(half.startNs)
                        .setEndNs(timeNs)
                        .setHttp(half.http)
                        .addAttributes(Attribute.newBuilder().setName("stream_id").setNumber(id));
        if (!half.scheme.isEmpty()) {
            message.addAttributes(Attribute.newBuilder().setName("scheme").setText(half.scheme));
        }
        if (half.grpc) {
            grpc(message, half, body);
        }
        ByteString head = ByteString.copyFromUtf8(half.head.toString());
        Message done =
                conversation
                        .message(direction, message, head, ByteString.copyFrom(body), body.length, conversation.hash(body, body.length))
                        .build();
        stream.done[direction] = done;
        Message other = stream.done[1 - direction];
        if (other != null) {
            boolean response = done.getHttp().getStatus() != 0;
            conversation.exchange(response ? other : done, response ? done : other);
            streams.remove(id);
        }
    }

    private static void grpc(Message.Builder message, Half half, byte[] body) {
        AttributeList.Builder sizes = AttributeList.newBuilder();
        int at = 0;
        int count = 0;
        int total = 0;
        while (at + 5 <= body.length) {
            int size = (body[at + 1] & 255) << 24 | (body[at + 2] & 255) << 16 | (body[at + 3] & 255) << 8 | body[at + 4] & 255;
            sizes.addItems(Attribute.newBuilder().setNumber(size));
            at += 5 + size;
            total += size;
            count++;
        }
        message.addAttributes(Attribute.newBuilder().setName("grpc_messages").setNumber(count));
        message.addAttributes(Attribute.newBuilder().setName("grpc_message_sizes").setList(sizes));
        message.addAttributes(Attribute.newBuilder().setName("grpc_messages_size").setNumber(total));
        if (half.grpcStatus >= 0) {
            message.addAttributes(Attribute.newBuilder().setName("grpc_status").setNumber(half.grpcStatus));
        }
    }

    /** The dynamic tables cannot be taken out of Netty's decoder, so a restart would begin without: in its favour here. */
    @Override
    public byte[] pending() {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (Side side : sides) {
            byte[] bytes = new byte[side.data.readableBytes()];
            side.data.getBytes(side.data.readerIndex(), bytes);
            out.writeBytes(bytes);
        }
        for (Stream stream : streams.values()) {
            for (Half half : stream.halves) {
                if (half.begun) {
                    out.writeBytes(half.http.build().toByteArray());
                    out.writeBytes(half.body.toByteArray());
                }
            }
        }
        return out.toByteArray();
    }

    @Override
    public String protocol() {
        return "http2";
    }
}
