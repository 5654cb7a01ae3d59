package notary_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	client "github.com/minio/minio-go/v7"
	"github.com/stretchr/testify/require"

	"onsite/results/audit"
	"onsite/results/object"
	"onsite/results/object/objecttest/minio"
	"onsite/results/storetest"
	"onsite/workers/notary"
)

// A bucket under object lock keeps every checkpoint of a real S3 service's witness, also when the log is rewritten, and its copy convicts.
func TestWitnessInABucket(t *testing.T) {
	s := newStand(t)
	ctx := t.Context()
	server, err := minio.Start(ctx, minio.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() {
		server.Stop()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	c, err := server.Client()
	require.NoError(t, err)
	require.NoError(t, c.MakeBucket(ctx, "witness", client.MakeBucketOptions{ObjectLocking: true}))
	mode, days, unit := client.Compliance, uint(1), client.Days
	require.NoError(t, c.SetObjectLockConfig(ctx, "witness", &mode, &days, &unit))
	open := func(bucket string) notary.Shelf {
		objects, err := object.NewS3(object.S3Config{Endpoint: server.Endpoint, Bucket: bucket, AccessKey: server.AccessKey, SecretKey: server.SecretKey})
		require.NoError(t, err)
		return notary.Shelf{Objects: objects, Called: "bucket " + bucket}
	}
	kept := func() (notes []string) {
		for o := range c.ListObjectsIter(context.Background(), "witness", client.ListObjectsOptions{Prefix: s.tenant + "/checkpoint/", Recursive: true}) {
			require.NoError(t, o.Err)
			r, err := c.GetObject(context.Background(), "witness", o.Key, client.GetObjectOptions{})
			require.NoError(t, err)
			note, err := io.ReadAll(r)
			require.NoError(t, err)
			require.NoError(t, r.Close())
			notes = append(notes, string(note))
			require.Error(t, c.RemoveObject(context.Background(), "witness", o.Key, client.RemoveObjectOptions{VersionID: versionOf(t, c, o.Key)}), "it is locked")
		}
		return notes
	}

	storetest.AppendEntries(t, s, s.tenant, "", 3)
	s.notary.Witnesses = []notary.Witness{open("nowhere")}
	require.ErrorContains(t, s.notary.Fresh().Once(ctx), "bucket nowhere")
	s.notary.Witnesses = []notary.Witness{open("witness")}
	n := s.notary.Fresh()
	require.NoError(t, n.Once(ctx))
	storetest.AppendEntries(t, s, s.tenant, "", 1)
	require.NoError(t, n.Once(ctx))
	require.NoError(t, s.notary.Fresh().Once(ctx), "a new process tells the same once more")
	require.Len(t, kept(), 2)

	s.forge(t, append([]string{`DELETE FROM audit_checkpoints`}, rewrite...)...)
	require.ErrorIs(t, s.notary.Fresh().Once(ctx), notary.ErrConflict)
	notes := kept()
	require.Len(t, notes, 3, "both of four entries")
	r, err := audit.Inspect(ctx, s, s.tenant, audit.Options{Witness: notes})
	require.NoError(t, err)
	require.NotEmpty(t, r.Findings)
	require.Equal(t, audit.Diverged, r.Findings[0].Rule)
}

func versionOf(t *testing.T, c *client.Client, key string) string {
	t.Helper()
	o, err := c.StatObject(context.Background(), "witness", key, client.StatObjectOptions{})
	require.NoError(t, err)
	return o.VersionID
}
