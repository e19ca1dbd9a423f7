// Writes what Kafka's own classes make of every API and version: one line for each request and response, its facts and its bytes.
// Run: java -cp 'JARS/*' KafkaMessages.java OLDEST:NEWEST > lines   (see README.md)

import com.fasterxml.jackson.databind.JsonNode;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.record.*;

public class KafkaMessages {
    static final String GROUP = "billing";
    static final short ERROR = 35;
    static final Uuid ID = new Uuid(0x0102030405060708L, 0x090a0b0c0d0e0f10L);

    public static void main(String[] arguments) throws Exception {
        for (ApiMessageType api : ApiMessageType.values()) {
            for (short version = api.lowestSupportedVersion(); version <= api.highestSupportedVersion(true); version++) {
                request(api, version);
                response(api, version);
            }
        }
    }

    static MemoryRecords records(int count) {
        SimpleRecord[] made = new SimpleRecord[count];
        for (int i = 0; i < count; i++) made[i] = new SimpleRecord(1_700_000_000_000L + i, ("k" + i).getBytes(), ("v" + i).getBytes());
        return MemoryRecords.withRecords(Compression.NONE, made);
    }

    static void request(ApiMessageType api, short version) throws Exception {
        ApiMessage data;
        String facts = "";
        switch (api) {
            case PRODUCE -> {
                ProduceRequestData.TopicProduceData topic = new ProduceRequestData.TopicProduceData();
                if (version >= 13) set(topic, "setTopicId", Uuid.class, ID); else topic.setName("orders");
                topic.partitionData().add(new ProduceRequestData.PartitionProduceData().setIndex(0).setRecords(records(3)));
                topic.partitionData().add(new ProduceRequestData.PartitionProduceData().setIndex(1).setRecords(records(20)));
                ProduceRequestData request = new ProduceRequestData().setAcks((short) -1).setTimeoutMs(1500);
                if (version >= 3) request.setTransactionalId("tx");
                request.topicData().add(topic);
                data = request;
                facts = "acks=-1 partitions=2 records=23 topics=" + (version >= 13 ? ID : "orders");
            }
            case FETCH -> {
                FetchRequestData request = new FetchRequestData().setMaxWaitMs(500).setMinBytes(1);
                if (version >= 12) request.setClusterId("cluster");
                if (version <= 14) request.setReplicaId(-1);
                FetchRequestData.FetchTopic topic = new FetchRequestData.FetchTopic();
                if (version >= 13) topic.setTopicId(ID); else topic.setTopic("orders");
                for (int i = 0; i < 3; i++) topic.partitions().add(new FetchRequestData.FetchPartition().setPartition(i).setFetchOffset(77));
                request.topics().add(topic);
                if (version >= 7) {
                    FetchRequestData.ForgottenTopic gone = new FetchRequestData.ForgottenTopic();
                    if (version >= 13) gone.setTopicId(Uuid.ONE_UUID); else gone.setTopic("old");
                    request.forgottenTopicsData().add(gone.setPartitions(List.of(1, 2)));
                }
                if (version >= 11) request.setRackId("rack-1");
                data = request;
                facts = "partitions=3 topics=" + (version >= 13 ? ID : "orders");
            }
            case METADATA -> {
                MetadataRequestData.MetadataRequestTopic one = new MetadataRequestData.MetadataRequestTopic().setName("orders");
                MetadataRequestData.MetadataRequestTopic two = new MetadataRequestData.MetadataRequestTopic().setName("news");
                data = new MetadataRequestData().setTopics(new ArrayList<>(List.of(one, two)));
                facts = "topics=orders,news";
            }
            default -> {
                data = api.newRequest();
                set(data, "setGroupId", String.class, GROUP);
                if (!fits(data, version)) data = api.newRequest();
                facts = top(data, version, "groupId").isTextual() ? "group=" + GROUP : "";
            }
        }
        RequestHeaderData header = new RequestHeaderData()
            .setRequestApiKey(api.apiKey()).setRequestApiVersion(version).setCorrelationId(4711).setClientId("app-1");
        print(api, version, "request", facts, bytes(header, api.requestHeaderVersion(version)), bytes(data, version));
    }

    static void response(ApiMessageType api, short version) throws Exception {
        ApiMessage data;
        String facts;
        switch (api) {
            case PRODUCE -> {
                ProduceResponseData.TopicProduceResponse topic = new ProduceResponseData.TopicProduceResponse();
                if (version >= 13) set(topic, "setTopicId", Uuid.class, ID); else topic.setName("orders");
                ProduceResponseData.PartitionProduceResponse bad = new ProduceResponseData.PartitionProduceResponse().setIndex(1).setErrorCode((short) 87);
                if (version >= 8) {
                    bad.setErrorMessage("no");
                    bad.recordErrors().add(new ProduceResponseData.BatchIndexAndErrorMessage().setBatchIndex(1).setBatchIndexErrorMessage("x"));
                }
                if (version >= 10) bad.setCurrentLeader(new ProduceResponseData.LeaderIdAndEpoch().setLeaderId(4).setLeaderEpoch(5));
                topic.partitionResponses().add(new ProduceResponseData.PartitionProduceResponse().setIndex(0).setBaseOffset(9));
                topic.partitionResponses().add(bad);
                ProduceResponseData response = new ProduceResponseData();
                response.responses().add(topic);
                data = response;
                facts = "error_code=87 errors=1 partitions=2 topics=" + (version >= 13 ? ID : "orders");
            }
            case FETCH -> {
                FetchResponseData response = new FetchResponseData();
                FetchResponseData.FetchableTopicResponse topic = new FetchResponseData.FetchableTopicResponse();
                if (version >= 13) topic.setTopicId(ID); else topic.setTopic("orders");
                FetchResponseData.PartitionData full = new FetchResponseData.PartitionData().setPartitionIndex(0).setHighWatermark(8).setRecords(records(40));
                if (version >= 4) full.setAbortedTransactions(List.of(new FetchResponseData.AbortedTransaction().setProducerId(1).setFirstOffset(2)));
                if (version >= 12) full.setDivergingEpoch(new FetchResponseData.EpochEndOffset().setEpoch(3).setEndOffset(4));
                topic.partitions().add(full);
                topic.partitions().add(new FetchResponseData.PartitionData().setPartitionIndex(1).setErrorCode((short) 3).setRecords(MemoryRecords.EMPTY));
                response.responses().add(topic);
                int errors = 1;
                if (version >= 7) { response.setErrorCode((short) 70).setSessionId(11); errors = 2; }
                data = response;
                facts = "error_code=" + (version >= 7 ? 70 : 3) + " errors=" + errors + " partitions=2 records=40 topics=" + (version >= 13 ? ID : "orders");
            }
            case METADATA -> {
                MetadataResponseData response = new MetadataResponseData();
                MetadataResponseData.MetadataResponseBroker broker = new MetadataResponseData.MetadataResponseBroker().setNodeId(1).setHost("broker-1").setPort(9092);
                response.brokers().add(version >= 1 ? broker.setRack("r") : broker);
                if (version >= 2) response.setClusterId("cluster");
                MetadataResponseData.MetadataResponseTopic good = new MetadataResponseData.MetadataResponseTopic().setName("orders");
                if (version >= 10) good.setTopicId(ID);
                for (int i = 0; i < 2; i++) {
                    MetadataResponseData.MetadataResponsePartition part = new MetadataResponseData.MetadataResponsePartition()
                        .setPartitionIndex(i).setReplicaNodes(List.of(1, 2, 3)).setIsrNodes(List.of(1, 2));
                    if (version >= 5) part.setOfflineReplicas(List.of(3));
                    good.partitions().add(part);
                }
                response.topics().add(good);
                response.topics().add(new MetadataResponseData.MetadataResponseTopic().setName("none").setErrorCode((short) 3));
                data = response;
                facts = "error_code=3 errors=1 partitions=2 topics=orders,none";
            }
            default -> {
                data = api.newResponse();
                set(data, "setErrorCode", short.class, ERROR);
                if (!fits(data, version)) data = api.newResponse();
                JsonNode code = top(data, version, "errorCode");
                facts = code.isInt() || code.isShort() ? "error_code=" + code.asInt() : "";
            }
        }
        ResponseHeaderData header = new ResponseHeaderData().setCorrelationId(4711);
        print(api, version, "response", facts, bytes(header, api.responseHeaderVersion(version)), bytes(data, version));
    }

    static void set(Object data, String setter, Class<?> type, Object value) throws Exception {
        try {
            data.getClass().getMethod(setter, type).invoke(data, value);
        } catch (NoSuchMethodException none) {
            return;
        }
    }

    /** Whether this version can say what the message holds. */
    static boolean fits(ApiMessage data, short version) {
        try {
            bytes(data, version);
            return true;
        } catch (org.apache.kafka.common.errors.UnsupportedVersionException | NullPointerException missing) {
            return false;
        }
    }

    /** A field of the message itself, as far as this version has it. */
    static JsonNode top(ApiMessage data, short version, String name) throws Exception {
        String converter = data.getClass().getName() + "JsonConverter";
        for (Method method : Class.forName(converter).getMethods()) {
            if (method.getName().equals("write") && method.getParameterCount() == 2) {
                return ((JsonNode) method.invoke(null, data, version)).path(name);
            }
        }
        throw new IllegalStateException(converter);
    }

    static byte[] bytes(Message data, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(data.size(cache, version));
        data.write(new ByteBufferAccessor(buffer), cache, version);
        return buffer.array();
    }

    static void print(ApiMessageType api, short version, String kind, String facts, byte[] header, byte[] body) {
        StringBuilder hex = new StringBuilder(String.format(Locale.ROOT, "%08x", header.length + body.length));
        for (byte[] part : List.of(header, body)) for (byte one : part) hex.append(String.format(Locale.ROOT, "%02x", one));
        System.out.println(String.join("\t", api.name, Integer.toString(version), kind, facts, hex));
    }
}
