package service

import (
	"context"
	"errors"
	"fmt"
	"net"

	"onsite/cmd/onsite/config"
	"onsite/pipeline/reuse/index"
	"onsite/workers/archive"
)

// newArchive makes what finds earlier footage by its frames. Only what runs jobs keeps an index: the API asks now and then, and reads the
// store's rows.
func (b *base) newArchive(role config.Role) (*archive.Archive, error) {
	o := archive.Options{Store: b.steps, Bell: b.bell, Logger: b.log}
	dir := b.cfg.Worker.IndexDir
	if role == config.RoleAPI {
		return archive.New(o), nil
	}
	if b.cfg.Worker.Index == config.IndexDatabase {
		if dir != "" {
			if err := index.Clear(dir); err != nil { // nobody would delete in it what is deleted in the store
				return nil, fault(err,
					fmt.Sprintf("the reuse index in %s is not used any more and cannot be removed: %v; delete the folder", dir, err),
					fmt.Sprintf("%s 中的查重索引已不再使用，但无法删除：%v；请手动删除该文件夹", dir, err))
			}
		}
		return archive.New(o), nil
	}
	shard, err := index.ParseShard(b.cfg.Worker.IndexShard)
	if err != nil {
		return nil, fault(err, "worker.index_shard: "+err.Error(), "worker.index_shard：“"+b.cfg.Worker.IndexShard+"”无效，请写例如 1/3")
	}
	o.Peers, o.Token, o.Metrics = b.cfg.Worker.IndexPeers, b.cfg.Worker.IndexToken.Reveal(), archive.NewMetrics(b.registry)
	x, err := index.Open(dir, index.Options{Logger: b.log, Shard: shard})
	if errors.Is(err, index.ErrBusy) {
		b.log.Warn("another process uses worker.index_dir: the reuse index of this one is in memory only; give each worker a folder of its own", "path", dir)
		x, err = index.Open("", index.Options{Logger: b.log, Shard: shard})
	}
	if err != nil {
		return nil, fault(err,
			fmt.Sprintf("the folder %s of the reuse index cannot be used: %v; check worker.index_dir and its permissions, or set worker.index to database", dir, err),
			fmt.Sprintf("无法使用查重索引的文件夹 %s：%v；请检查 worker.index_dir 及其权限，或将 worker.index 设为 database", dir, err))
	}
	b.later(func() {
		if err := x.Close(); err != nil {
			b.log.Warn("the reuse index was not closed in order", "error", err.Error())
		}
	})
	o.Index = x
	return archive.New(o), nil
}

// answering is the part with which other workers ask this one's shard; none where it holds all of the index.
func (b *base) answering(earlier *archive.Archive, l net.Listener) (parts, error) {
	if l == nil {
		return nil, nil
	}
	h, err := earlier.Handler()
	if err != nil {
		return nil, fault(err, err.Error(), "无法应答其他 worker 的查重索引查询："+err.Error())
	}
	web := &site{listener: l}
	return parts{{"index", func(ctx context.Context) error { return web.serve(ctx, h, nil, b.log) }}}, nil
}
