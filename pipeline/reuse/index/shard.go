package index

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// MaxShards bounds into how many parts an index is cut: a search asks all of them.
const MaxShards = 64

// Shard says which part of all clips an index holds: number K of N, from 1. The zero Shard holds all.
type Shard struct{ K, N int }

// ShardOf says in which of n shards a job's clip lies, 1 to n: the first eight bytes of the SHA-256 of its id as a big-endian number, modulo
// n, plus one. Processes of different versions ask each other, so that it never changes. It is the same for all tenants, so that a large
// one is spread, too.
func ShardOf(job string, n int) int {
	if n <= 1 {
		return 1
	}
	sum := sha256.Sum256([]byte(job))
	return 1 + int(binary.BigEndian.Uint64(sum[:8])%uint64(n))
}

// Holds says whether a job's clip lies in the shard.
func (s Shard) Holds(job string) bool { return s.N <= 1 || ShardOf(job, s.N) == s.K }

// Whole says that the shard is all there is.
func (s Shard) Whole() bool { return s.N <= 1 }

// String is "2/3".
func (s Shard) String() string {
	if s.N == 0 {
		return "1/1"
	}
	return fmt.Sprintf("%d/%d", s.K, s.N)
}

// ParseShard reads "2/3"; "" is the zero Shard.
func ParseShard(text string) (Shard, error) {
	if text == "" {
		return Shard{}, nil
	}
	left, right, _ := strings.Cut(text, "/")
	k, errK := strconv.Atoi(left)
	n, errN := strconv.Atoi(right)
	s := Shard{k, n}
	if errK != nil || errN != nil || s.String() != text || s.check() != nil {
		return Shard{}, fmt.Errorf("%q is no shard: write which of how many, such as 1/3, of %d at most", text, MaxShards)
	}
	return s, nil
}

func (s Shard) check() error {
	if s != (Shard{}) && (s.N < 1 || s.N > MaxShards || s.K < 1 || s.K > s.N) {
		return fmt.Errorf("there is no shard %d of %d, want 1 to %d of at most %d", s.K, s.N, s.N, MaxShards)
	}
	return nil
}
