"""What commands mean to a tap: which there are, which answer differently, and where passwords stand in them."""

from collections.abc import Sequence
from typing import Final

from fleetcap_streams.protocols.shown import HIDDEN

# Commands of Redis 7. Used only to tell commands from answers and Redis from other line protocols; any command is decoded.
KNOWN: Final = frozenset(
    b"""
    ACL APPEND ASKING AUTH BGREWRITEAOF BGSAVE BITCOUNT BITFIELD BITFIELD_RO BITOP BITPOS BLMOVE BLMPOP BLPOP BRPOP
    BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN CLIENT CLUSTER COMMAND CONFIG COPY DBSIZE DEBUG DECR DECRBY DEL DISCARD DUMP ECHO
    EVAL EVALSHA EVALSHA_RO EVAL_RO EXEC EXISTS EXPIRE EXPIREAT EXPIRETIME FAILOVER FCALL FCALL_RO FLUSHALL FLUSHDB
    FUNCTION GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUSBYMEMBER GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH
    GEOSEARCHSTORE GET GETBIT GETDEL GETEX GETRANGE GETSET HDEL HELLO HEXISTS HGET HGETALL HINCRBY HINCRBYFLOAT HKEYS HLEN
    HMGET HMSET HRANDFIELD HSCAN HSET HSETNX HSTRLEN HVALS INCR INCRBY INCRBYFLOAT INFO KEYS LASTSAVE LATENCY LCS LINDEX
    LINSERT LLEN LMOVE LMPOP LOLWUT LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM MEMORY MGET MIGRATE MODULE MONITOR MOVE
    MSET MSETNX MULTI OBJECT PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PFADD PFCOUNT PFDEBUG PFMERGE PFSELFTEST PING PSETEX
    PSUBSCRIBE PSYNC PTTL PUBLISH PUBSUB PUNSUBSCRIBE QUIT RANDOMKEY READONLY READWRITE RENAME RENAMENX REPLCONF REPLICAOF
    RESET RESTORE RESTORE-ASKING ROLE RPOP RPOPLPUSH RPUSH RPUSHX SADD SAVE SCAN SCARD SCRIPT SDIFF SDIFFSTORE SELECT
    SENTINEL SET SETBIT SETEX SETNX SETRANGE SHUTDOWN SINTER SINTERCARD SINTERSTORE SISMEMBER SLAVEOF SLOWLOG SMEMBERS
    SMISMEMBER SMOVE SORT SORT_RO SPOP SPUBLISH SRANDMEMBER SREM SSCAN SSUBSCRIBE STRLEN SUBSCRIBE SUBSTR SUNION
    SUNIONSTORE SUNSUBSCRIBE SWAPDB SYNC TIME TOUCH TTL TYPE UNLINK UNSUBSCRIBE UNWATCH WAIT WAITAOF WATCH XACK XADD
    XAUTOCLAIM XCLAIM XDEL XGROUP XINFO XLEN XPENDING XRANGE XREAD XREADGROUP XREVRANGE XSETID XTRIM ZADD ZCARD ZCOUNT
    ZDIFF ZDIFFSTORE ZINCRBY ZINTER ZINTERCARD ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE
    ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE
    ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION ZUNIONSTORE
    """.split()
)
LONGEST: Final = 64  # bytes of a command's name, also of a module's

SUBSCRIBING: Final = frozenset((b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE"))
UNSUBSCRIBING: Final = frozenset((b"UNSUBSCRIBE", b"PUNSUBSCRIBE", b"SUNSUBSCRIBE"))
WHILE_SUBSCRIBED: Final = SUBSCRIBING | UNSUBSCRIBING | {b"PING", b"QUIT", b"RESET"}  # what RESP2 allows then
PUBLISHED: Final = frozenset((b"message", b"pmessage", b"smessage"))
REPLICATION: Final = frozenset((b"SYNC", b"PSYNC"))

SECRET_SETTINGS: Final = frozenset(
    b"requirepass masterauth primaryauth tls-key-file-pass tls-client-key-file-pass auth-pass sentinel-pass".split()
)
_HIDDEN: Final = HIDDEN.encode()


def known(name: bytes) -> bool:
    """Whether this is the name of a command, of the server or by its dotted form of a module."""
    return name.upper() in KNOWN or (b"." in name[1:-1] and name.replace(b".", b"").replace(b"_", b"").isalnum())


def without_secrets(words: Sequence[bytes]) -> list[bytes]:
    """A command's words, or an answer's elements, with passwords left out."""
    shown = list(words)
    name = shown[0].upper() if shown else b""
    for place in _secrets(name, shown):
        if 0 < place < len(shown):
            shown[place] = _HIDDEN
    return shown


def _secrets(name: bytes, words: Sequence[bytes]) -> list[int]:
    """Where in a command passwords stand."""
    places = [place + 1 for place, word in enumerate(words) if word.strip().lower() in SECRET_SETTINGS]
    match name:
        case b"AUTH":
            places.append(1 if len(words) == 2 else 2)
            places += range(3, len(words))
        case b"HELLO" | b"MIGRATE":
            for place, word in enumerate(words):
                if word.upper() in (b"AUTH", b"AUTH2"):
                    places.append(place + (1 if name == b"MIGRATE" and word.upper() == b"AUTH" else 2))
        case b"ACL":
            places += [place for place, word in enumerate(words) if place > 2 and word[:1] in (b">", b"<", b"#", b"!")]
    return places
