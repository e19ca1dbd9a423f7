"""Kafka's APIs by key: their names, which versions there are, and how those differ in their headers.

Source: the message definitions of Apache Kafka 0.8 to 4.1, as kafka-clients 3.9.1 and 4.1.1 carry them.
"""

from typing import Final, NamedTuple

NEVER: Final = 1 << 15  # a version no API has

PRODUCE: Final = 0
FETCH: Final = 1
METADATA: Final = 3
CONTROLLED_SHUTDOWN: Final = 7
SASL_HANDSHAKE: Final = 17
API_VERSIONS: Final = 18


class Api(NamedTuple):
    """One API.

    `error`: the version since which an error code is the first field of its response, up to `error_last`; since version
    `throttle` a throttle time of 4 bytes stands before it.
    """

    name: str
    newest: int
    flexible: int = NEVER  # the first version with compact types and tagged fields (KIP-482)
    error: int = NEVER
    throttle: int = NEVER
    error_last: int = NEVER

    def request_header(self, version: int) -> int:
        """Version of the header, where that of the API is known."""
        if self is APIS[CONTROLLED_SHUTDOWN] and version == 0:
            return 0
        return 2 if version >= self.flexible else 1

    def response_header(self, version: int) -> int:
        """The same; a client that asks for ApiVersions cannot know yet what the server understands (KIP-511)."""
        return 1 if version >= self.flexible and self is not APIS[API_VERSIONS] else 0

    def error_place(self, version: int) -> int | None:
        """Where in a response's body the error code stands; None: not at a fixed place."""
        if not self.error <= version <= self.error_last:
            return None
        return 4 if version >= self.throttle else 0


APIS: Final = (
    Api("Produce", 13, 9),
    Api("Fetch", 18, 12, 7, 7),
    Api("ListOffsets", 10, 6),
    Api("Metadata", 13, 9),
    Api("LeaderAndIsr", 7, 4, 0),
    Api("StopReplica", 4, 2, 0),
    Api("UpdateMetadata", 8, 6, 0),
    Api("ControlledShutdown", 3, 3, 0),
    Api("OffsetCommit", 10, 8),
    Api("OffsetFetch", 10, 6),
    Api("FindCoordinator", 6, 3, 0, 1, 3),
    Api("JoinGroup", 9, 6, 0, 2),
    Api("Heartbeat", 4, 4, 0, 1),
    Api("LeaveGroup", 5, 4, 0, 1),
    Api("SyncGroup", 5, 4, 0, 1),
    Api("DescribeGroups", 6, 5),
    Api("ListGroups", 5, 3, 0, 1),
    Api("SaslHandshake", 1, error=0),
    Api("ApiVersions", 4, 3, 0),
    Api("CreateTopics", 7, 5),
    Api("DeleteTopics", 6, 4),
    Api("DeleteRecords", 2, 2),
    Api("InitProducerId", 6, 2, 0, 0),
    Api("OffsetForLeaderEpoch", 4, 4),
    Api("AddPartitionsToTxn", 5, 3, 4, 4),
    Api("AddOffsetsToTxn", 4, 3, 0, 0),
    Api("EndTxn", 5, 3, 0, 0),
    Api("WriteTxnMarkers", 1, 1),
    Api("TxnOffsetCommit", 5, 3),
    Api("DescribeAcls", 3, 2, 0, 0),
    Api("CreateAcls", 3, 2),
    Api("DeleteAcls", 3, 2),
    Api("DescribeConfigs", 4, 4),
    Api("AlterConfigs", 2, 2),
    Api("AlterReplicaLogDirs", 2, 2),
    Api("DescribeLogDirs", 4, 2, 3, 3),
    Api("SaslAuthenticate", 2, 2, 0),
    Api("CreatePartitions", 3, 2),
    Api("CreateDelegationToken", 3, 2, 0),
    Api("RenewDelegationToken", 2, 2, 0),
    Api("ExpireDelegationToken", 2, 2, 0),
    Api("DescribeDelegationToken", 3, 2, 0),
    Api("DeleteGroups", 2, 2),
    Api("ElectLeaders", 2, 2, 1, 1),
    Api("IncrementalAlterConfigs", 1, 1),
    Api("AlterPartitionReassignments", 1, 0, 0, 0, 0),
    Api("ListPartitionReassignments", 0, 0, 0, 0),
    Api("OffsetDelete", 0, error=0),
    Api("DescribeClientQuotas", 1, 1, 0, 0),
    Api("AlterClientQuotas", 1, 1),
    Api("DescribeUserScramCredentials", 0, 0, 0, 0),
    Api("AlterUserScramCredentials", 0, 0),
    Api("Vote", 2, 0, 0),
    Api("BeginQuorumEpoch", 1, 1, 0),
    Api("EndQuorumEpoch", 1, 1, 0),
    Api("DescribeQuorum", 2, 0, 0),
    Api("AlterPartition", 3, 0, 0, 0),
    Api("UpdateFeatures", 2, 0, 0, 0),
    Api("Envelope", 0, 0),
    Api("FetchSnapshot", 1, 0, 0, 0),
    Api("DescribeCluster", 2, 0, 0, 0),
    Api("DescribeProducers", 0, 0),
    Api("BrokerRegistration", 4, 0, 0, 0),
    Api("BrokerHeartbeat", 1, 0, 0, 0),
    Api("UnregisterBroker", 0, 0, 0, 0),
    Api("DescribeTransactions", 0, 0),
    Api("ListTransactions", 2, 0, 0, 0),
    Api("AllocateProducerIds", 0, 0, 0, 0),
    Api("ConsumerGroupHeartbeat", 1, 0, 0, 0),
    Api("ConsumerGroupDescribe", 1, 0),
    Api("ControllerRegistration", 0, 0, 0, 0),
    Api("GetTelemetrySubscriptions", 0, 0, 0, 0),
    Api("PushTelemetry", 0, 0, 0, 0),
    Api("AssignReplicasToDirs", 0, 0, 0, 0),
    Api("ListConfigResources", 1, 0, 0, 0),
    Api("DescribeTopicPartitions", 0, 0),
    Api("ShareGroupHeartbeat", 1, 0, 0, 0),
    Api("ShareGroupDescribe", 1, 0),
    Api("ShareFetch", 1, 0, 0, 0),
    Api("ShareAcknowledge", 1, 0, 0, 0),
    Api("AddRaftVoter", 0, 0, 0, 0),
    Api("RemoveRaftVoter", 0, 0, 0, 0),
    Api("UpdateRaftVoter", 0, 0, 0, 0),
    Api("InitializeShareGroupState", 0, 0),
    Api("ReadShareGroupState", 0, 0),
    Api("WriteShareGroupState", 0, 0),
    Api("DeleteShareGroupState", 0, 0),
    Api("ReadShareGroupStateSummary", 0, 0),
    Api("StreamsGroupHeartbeat", 0, 0, 0, 0),
    Api("StreamsGroupDescribe", 0, 0),
    Api("DescribeShareGroupOffsets", 0, 0),
    Api("AlterShareGroupOffsets", 0, 0, 0, 0),
    Api("DeleteShareGroupOffsets", 0, 0, 0, 0),
)

# The requests whose first field is the group's name, up to this version.
GROUPS: Final = {
    8: NEVER,
    9: 7,
    11: NEVER,
    12: NEVER,
    13: NEVER,
    14: NEVER,
    47: NEVER,
    68: NEVER,
    76: NEVER,
    78: NEVER,
    79: NEVER,
    83: NEVER,
    84: NEVER,
    85: NEVER,
    86: NEVER,
    87: NEVER,
    88: NEVER,
    91: NEVER,
    92: NEVER,
}
