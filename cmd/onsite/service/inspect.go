package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"onsite/cmd/onsite/config"
	"onsite/results/audit"
	"onsite/results/database"
)

// Inspector reads what "onsite audit" compares: the store, and the sealed objects with the key-encryption key.
type Inspector struct {
	Store *database.Store
	base  *base
}

// OpenInspector opens them; without files only the store. The caller closes it.
func OpenInspector(ctx context.Context, c config.Config, log *slog.Logger, files bool) (*Inspector, error) {
	b := &base{cfg: c, log: log, registry: prometheus.NewRegistry()}
	store, err := OpenStore(ctx, c, log, CheckTables)
	if err != nil {
		return nil, err
	}
	b.store, b.steps = store, store
	b.later(func() {
		if err := store.Close(); err != nil {
			log.Warn("the results store was not closed in order", "error", err.Error())
		}
	})
	if files {
		if err = b.openObjects(); err == nil {
			err = b.openVault(ctx, config.RoleStore)
		}
		if err != nil {
			b.Close()
			return nil, err
		}
	}
	return &Inspector{Store: store, base: b}, nil
}

// Close ends it.
func (i *Inspector) Close() { i.base.Close() }

// Read opens a sealed object and gives the sha256 of what it holds: an audit.Reader.
func (i *Inspector) Read(ctx context.Context, key string) (string, error) {
	h := sha256.New()
	if _, err := i.base.vault.Copy(ctx, h, key); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

var _ audit.Reader = (*Inspector)(nil).Read

// Witnesses reads the checkpoints of a tenant that lie in a folder that audit.witness_dir wrote.
func Witnesses(ctx context.Context, dir, tenant string) ([]string, error) {
	all, err := readWitness(ctx, dir, tenant)
	if err != nil {
		return nil, fault(err,
			fmt.Sprintf("the checkpoints in %s cannot be read: %v; give a file, or a folder that audit.witness_dir wrote", dir, err),
			fmt.Sprintf("无法读取 %s 中的检查点：%v；请给出文件，或由 audit.witness_dir 写入的文件夹", dir, err))
	}
	return all, nil
}
