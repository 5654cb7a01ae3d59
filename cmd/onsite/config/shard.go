package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"onsite/pipeline/reuse/index"
)

// minToken is the least length of a token that workers show each other.
const minToken = 16

// shard checks the settings of an index that several workers hold together.
func (k *checker) shard(role Role) {
	w := k.c.Worker
	if w.IndexShard == "" {
		if len(w.IndexPeers) > 0 || w.IndexListen != "" {
			k.missing("worker.index_shard", "only with it workers ask each other (worker.index_peers, worker.index_listen)", "只有设置了它，worker 之间才会互相查询（worker.index_peers、worker.index_listen）")
		}
		return
	}
	s, err := index.ParseShard(w.IndexShard)
	if err != nil {
		most := strconv.Itoa(index.MaxShards)
		k.add("worker.index_shard", w.IndexShard, "does not say which of how many, of "+most+" at most", "未说明是几份中的第几份（最多 "+most+" 份）", "write 1/3 for the first of three", "三份中的第一份请写 1/3")
		return
	}
	switch {
	case role != RoleWorker:
		k.add("worker.index_shard", w.IndexShard, "one process holds the whole index", "单个进程持有全部索引", "take it out, or run \"onsite api\" and \"onsite worker\"", "请删除，或改为运行 onsite api 和 onsite worker")
		return
	case w.Index != IndexMemory:
		k.add("worker.index_shard", w.IndexShard, "there is no index with worker.index "+w.Index, "worker.index 为 "+w.Index+" 时没有索引", "take it out, or set worker.index to memory", "请删除，或将 worker.index 设为 memory")
		return
	case s.Whole():
		if len(w.IndexPeers) > 0 || w.IndexListen != "" {
			k.add("worker.index_shard", w.IndexShard, "is the whole index, for which no other worker is asked", "即全部索引，不会查询其他 worker", "take out worker.index_peers and worker.index_listen, or write which of several shards", "请删除 worker.index_peers 和 worker.index_listen，或写明是几份中的第几份")
		}
		return
	}
	if len(w.IndexPeers) != s.N {
		k.add("worker.index_peers", fmt.Sprint(len(w.IndexPeers)), fmt.Sprintf("is the number of URLs, %d are wanted: one for each shard, in their order", s.N), fmt.Sprintf("为地址个数，需要 %d 个：每份一个，按顺序", s.N),
			"write http://worker-1:8422,http://worker-2:8422 and so on", "请写例如 http://worker-1:8422,http://worker-2:8422")
	}
	for i, u := range w.IndexPeers {
		k.service("worker.index_peers", u)
		if slices.ContainsFunc(w.IndexPeers[:i], func(earlier string) bool { return strings.TrimRight(earlier, "/") == strings.TrimRight(u, "/") }) {
			k.add("worker.index_peers", u, "is there twice, and no worker holds two shards", "出现两次，而每个 worker 只持有一份", "write one URL for each shard, in their order", "请按顺序为每份写一个地址")
		}
	}
	if w.IndexListen == "" {
		k.missing("worker.index_listen", "other workers ask this one there", "其他 worker 在该地址查询本进程")
	}
	k.listens("worker.index_listen", w.IndexListen, "127.0.0.1:8422", "what is asked there has no TLS", "该地址的查询没有 TLS", "only your workers reach", "只有 worker 可以访问")
	switch {
	case w.IndexToken.Empty():
		k.missing("worker.index_token", "workers show it each other", "worker 之间以此互相验证")
	case len(w.IndexToken.Reveal()) < minToken:
		k.add("worker.index_token", masked, "can be guessed", "容易被猜到", fmt.Sprintf("take %d characters or more", minToken), fmt.Sprintf("请使用 %d 个以上字符", minToken))
	case !headerValue(w.IndexToken.Reveal()):
		k.add("worker.index_token", masked, "has a line break, a letter that is not ASCII, or a space at an end", "含有换行或非 ASCII 字符，或以空格开头、结尾", "take letters and digits, such as of openssl rand -hex 32", "请使用字母和数字，例如 openssl rand -hex 32 的输出")
	}
}

// headerValue says that a text arrives in a header of HTTP as it is sent.
func headerValue(text string) bool {
	return strings.TrimSpace(text) == text && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}
