package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"onsite/pipeline"
	"onsite/results/object"
	"onsite/workers/notary"
)

// witnesses makes what the configuration names under audit.
func (b *base) witnesses() (all []notary.Witness, err error) {
	c := b.cfg.Audit
	if c.WitnessDir != "" {
		dir, err := object.NewFolder(c.WitnessDir)
		if err != nil {
			return nil, fault(err,
				fmt.Sprintf("the witness folder %s cannot be used: %v; check audit.witness_dir and its permissions", c.WitnessDir, err),
				fmt.Sprintf("无法使用见证文件夹 %s：%v；请检查 audit.witness_dir 及其权限", c.WitnessDir, err))
		}
		all = append(all, notary.Shelf{Objects: dir, Called: c.WitnessDir})
	}
	if c.WitnessBucket != "" {
		o := b.cfg.Objects.S3
		bucket, err := object.NewS3(object.S3Config{Endpoint: o.Endpoint, Region: o.Region, Bucket: c.WitnessBucket, AccessKey: o.AccessKey, SecretKey: o.SecretKey.Reveal()})
		if err != nil {
			return nil, fault(err,
				fmt.Sprintf("the witness bucket %s cannot be used: %v; correct audit.witness_bucket and objects.s3", c.WitnessBucket, err),
				fmt.Sprintf("无法使用见证存储桶 %s：%v；请修改 audit.witness_bucket 和 objects.s3", c.WitnessBucket, err))
		}
		all = append(all, notary.Shelf{Objects: bucket, Called: "bucket " + c.WitnessBucket})
	}
	if !c.WitnessURL.Empty() {
		all = append(all, notary.Post{URL: c.WitnessURL.Reveal(), Client: &http.Client{Timeout: 10 * time.Second}})
	}
	return all, nil
}

// maxNote bounds a checkpoint in bytes: four lines.
const maxNote = 64 << 10

// readWitness reads a tenant's checkpoints from a folder of notary.Shelf, and changes nothing there. dir is what audit.witness_dir names, or a
// copy of a bucket or of the part of that folder in which the tenants are.
func readWitness(ctx context.Context, dir, tenant string) (notes []string, err error) {
	for _, at := range []string{filepath.Join(dir, "objects", tenant, "checkpoint"), filepath.Join(dir, tenant, "checkpoint")} {
		files, err := os.ReadDir(at)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if f.IsDir() {
				continue
			}
			note, err := pipeline.ReadFile(filepath.Join(at, f.Name()), maxNote)
			if err != nil {
				return nil, err
			}
			notes = append(notes, string(note))
		}
	}
	return notes, nil
}
