package fleetcap.bench;

import com.google.protobuf.ByteString;
import fleetcap_proto.v1.ExchangeOuterClass.Header;
import fleetcap_proto.v1.ExchangeOuterClass.Http;
import fleetcap_proto.v1.ExchangeOuterClass.Message;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.handler.codec.http.HttpContent;
import io.netty.handler.codec.http.HttpDecoderConfig;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpMessage;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpRequestDecoder;
import io.netty.handler.codec.http.HttpResponse;
import io.netty.handler.codec.http.HttpResponseDecoder;
import io.netty.handler.codec.http.LastHttpContent;
import java.io.ByteArrayOutputStream;
import java.security.MessageDigest;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** HTTP/1.1 by Netty's codec, called without a pipeline: that is as fast as it gets. */
final class Http1Decoder implements Decoder {
    private static final int BODY_LIMIT = 64 * 1024;

    /** What decodes one direction's bytes. */
    private interface Codec {
        void decode(ByteBuf data, List<Object> out) throws Exception;
    }

    private static final class Requests extends HttpRequestDecoder implements Codec {
        Requests() {
            super(config());
        }

        @Override
        public void decode(ByteBuf data, List<Object> out) throws Exception {
            decode(null, data, out);
        }
    }

    private final class Responses extends HttpResponseDecoder implements Codec {
        Responses() {
            super(config());
        }

        @Override
        public void decode(ByteBuf data, List<Object> out) throws Exception {
            decode(null, data, out);
        }

        @Override
        protected boolean isContentAlwaysEmpty(HttpMessage message) {
            Message request = waiting.peek();
            boolean head = request != null && request.getHttp().getMethod().equals(HttpMethod.HEAD.name());
            return head || super.isContentAlwaysEmpty(message);
        }
    }

    private static HttpDecoderConfig config() {
        return new HttpDecoderConfig()
                .setMaxInitialLineLength(65536)
                .setMaxHeaderSize(65536)
                .setMaxChunkSize(1 << 20)
                .setValidateHeaders(false);
    }

    /** One direction, and its message that is under way. */
    private static final class Side {
        final Codec codec;
        final ByteBuf data = Unpooled.buffer(512);
        final List<Object> decoded = new ArrayList<>();
        HttpMessage head;
        ByteString headBytes;
        final ByteArrayOutputStream body = new ByteArrayOutputStream();
        MessageDigest hash;
        long size;
        long startNs;
        int headStart;

        Side(Codec codec) {
            this.codec = codec;
        }
    }

    private final Conversation conversation;
    private final Side[] sides = new Side[2];
    private final ArrayDeque<Message> waiting = new ArrayDeque<>();

    Http1Decoder(Conversation conversation, int direction, ByteString first) {
        this.conversation = conversation;
        boolean response = first.startsWith(ByteString.copyFromUtf8("HTTP/"));
        int requests = response ? 1 - direction : direction;
        sides[requests] = new Side(new Requests());
        sides[1 - requests] = new Side(new Responses());
    }

    @Override
    public void feed(int direction, ByteString payload, long timeNs) {
        Side side = sides[direction];
        side.data.writeBytes(payload.asReadOnlyByteBuffer());
        try {
            while (side.data.isReadable()) {
                int before = side.data.readerIndex();
                if (side.head == null && side.headBytes == null) {
                    side.headStart = before;
                    side.startNs = timeNs;
                    side.headBytes = ByteString.EMPTY;
                }
                side.codec.decode(side.data, side.decoded);
                take(direction, side, timeNs);
                if (side.data.readerIndex() == before) {
                    break;
                }
            }
        } catch (Exception error) {
            throw new IllegalStateException("HTTP/1 cannot be decoded", error);
        }
        if (!side.data.isReadable() && side.head == null) {
            side.data.clear();
        } else if (side.head != null) {
            side.data.discardSomeReadBytes();
        }
    }

    private void take(int direction, Side side, long timeNs) {
        for (Object item : side.decoded) {
            if (item instanceof HttpMessage head) {
                side.head = head;
                byte[] bytes = new byte[side.data.readerIndex() - side.headStart];
                side.data.getBytes(side.headStart, bytes);
                side.headBytes = ByteString.copyFrom(bytes);
                side.hash = Conversation.sha256();
            }
            if (item instanceof HttpContent content) {
                ByteBuf part = content.content();
                int length = part.readableBytes();
                if (length > 0) {
                    byte[] bytes = new byte[length];
                    part.readBytes(bytes);
                    side.hash.update(bytes);
                    side.size += length;
                    int room = BODY_LIMIT - side.body.size();
                    if (room > 0) {
                        side.body.write(bytes, 0, Math.min(room, length));
                    }
                }
                content.release();
            }
            if (item instanceof LastHttpContent) {
                finish(direction, side, timeNs);
            }
        }
        side.decoded.clear();
    }

    private void finish(int direction, Side side, long timeNs) {
        Http.Builder http = Http.newBuilder().setVersion("1.1");
        for (Map.Entry<String, String> field : side.head.headers()) {
            http.addHeaders(Header.newBuilder().setName(field.getKey()).setValue(field.getValue()));
        }
        boolean isRequest = side.head instanceof HttpRequest;
        if (side.head instanceof HttpRequest request) {
            http.setMethod(request.method().name()).setTarget(request.uri());
            String host = request.headers().get(HttpHeaderNames.HOST);
            http.setAuthority(host == null ? "" : host);
        } else if (side.head instanceof HttpResponse response) {
            http.setStatus(response.status().code()).setReason(response.status().reasonPhrase());
        }
        Message.Builder message =
                Message.newBuilder().setProtocol("http1").setStartNs(side.startNs).setEndNs(timeNs).setHttp(http);
        byte[] body = side.body.toByteArray();
        Message done =
                conversation
                        .message(direction, message, side.headBytes, ByteString.copyFrom(body), side.size, side.hash.digest())
                        .build();
        side.head = null;
        side.headBytes = null;
        side.body.reset();
        side.size = 0;
        if (isRequest) {
            waiting.add(done);
        } else if (done.getHttp().getStatus() >= 200 && !waiting.isEmpty()) {
            conversation.exchange(waiting.poll(), done);
        }
    }

    @Override
    public byte[] pending() {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (Side side : sides) {
            if (side.head != null || side.data.isReadable()) {
                byte[] bytes = new byte[side.data.readableBytes()];
                side.data.getBytes(side.data.readerIndex(), bytes);
                out.writeBytes(bytes);
                out.writeBytes(side.headBytes == null ? new byte[0] : side.headBytes.toByteArray());
            }
        }
        for (Message request : waiting) {
            out.writeBytes(request.toByteArray());
        }
        return out.toByteArray();
    }

    @Override
    public String protocol() {
        return "http1";
    }
}
