package fleetcap.bench;

import com.google.protobuf.ByteString;

/** A protocol's decoder for both directions of one connection. */
interface Decoder {
    void feed(int direction, ByteString payload, long timeNs);

    /** What has come of messages that are not complete. */
    byte[] pending();

    String protocol();
}
