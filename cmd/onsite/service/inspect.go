package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"onsite/cmd/onsite/config"
	"onsite/pipeline/reuse"
	"onsite/results"
	"onsite/results/audit"
	"onsite/results/database"
	"onsite/workers/core"
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

// Sum opens a sealed object and gives the sha256 of what it holds.
func (i *Inspector) Sum(ctx context.Context, key string) (string, error) {
	h := sha256.New()
	if _, err := i.base.vault.Copy(ctx, h, key); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Frames opens a fingerprint and gives the hashes of its frames.
func (i *Inspector) Frames(ctx context.Context, key string) ([]results.FrameHash, error) {
	raw, err := i.base.vault.Read(ctx, key, core.MaxPrint)
	if err != nil {
		return nil, err
	}
	var f reuse.Fingerprint
	if err := f.UnmarshalBinary(raw); err != nil {
		return nil, err
	}
	return core.FramesOf(&f), nil
}

// Template opens the vector of an enrolled photo.
func (i *Inspector) Template(ctx context.Context, t results.Template) error {
	_, err := i.base.vault.OpenBytes(ctx, t.Tenant, t.Subject, core.TemplateRecord(t.Photo, t.ModelSHA256), t.Sealed)
	return err
}

var _ audit.Opener = (*Inspector)(nil)

// Witnesses reads the checkpoints of a tenant that lie in a folder that audit.witness_dir wrote. A folder without any is an error where the
// tenant has a log: a wrong folder must not pass for a witness that agrees.
func (i *Inspector) Witnesses(ctx context.Context, dir, tenant string) ([]string, error) {
	all, err := readWitness(ctx, dir, tenant)
	if err != nil {
		return nil, fault(err,
			fmt.Sprintf("the checkpoints in %s cannot be read: %v; give a file, or a folder that audit.witness_dir wrote", dir, err),
			fmt.Sprintf("无法读取 %s 中的检查点：%v；请给出文件，或由 audit.witness_dir 写入的文件夹", dir, err))
	}
	if len(all) > 0 {
		return all, nil
	}
	_, err = i.Store.LogHead(ctx, tenant)
	switch {
	case errors.Is(err, results.ErrNotFound): // its first entry is still to come
		return nil, nil
	case err != nil:
		return nil, err
	}
	return nil, fault(errNoNotes,
		fmt.Sprintf("%s has no checkpoint of tenant %s, which has an audit log; give the folder of audit.witness_dir (it has objects/%s/checkpoint or %s/checkpoint), or another tenant with --tenant", dir, tenant, tenant, tenant),
		fmt.Sprintf("%s 中没有租户 %s 的检查点，而该租户已有审计日志；请给出 audit.witness_dir 的文件夹（其中应有 objects/%s/checkpoint 或 %s/checkpoint），或用 --tenant 指定其他租户", dir, tenant, tenant, tenant))
}

var errNoNotes = errors.New("no checkpoints of the tenant")
