// Command buckets makes the buckets of the development environment (deploy/dev) with their notifications: onsite-uploads, into which clients
// upload, tells the API by webhook; onsite-inbox, which stands for a bucket of somebody else, tells a Redis list. It may be run again.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
	"github.com/minio/minio-go/v7/pkg/notification"
)

// inbox is the bucket of "somebody else".
const inbox = "onsite-inbox"

// The targets as up.sh configures them.
const (
	byWebhook = "arn:minio:sqs::DEV:webhook"
	byRedis   = "arn:minio:sqs::DEV:redis"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "buckets:", err)
		os.Exit(1) //nolint:gocritic // nothing is left that a defer would have to do
	}
}

func run(ctx context.Context) error {
	endpoint, secure := strings.CutPrefix(os.Getenv("ONSITE_OBJECTS_S3_ENDPOINT"), "https://")
	endpoint = strings.TrimPrefix(endpoint, "http://")
	c, err := minio.New(endpoint, &minio.Options{Secure: secure, Region: "us-east-1",
		Creds: credentials.NewStaticV4(os.Getenv("ONSITE_OBJECTS_S3_ACCESS_KEY"), os.Getenv("ONSITE_OBJECTS_S3_SECRET_KEY"), "")})
	if err != nil {
		return fmt.Errorf("the S3 service of build/dev/env: %w", err)
	}
	uploads := os.Getenv("ONSITE_OBJECTS_S3_UPLOAD_BUCKET")
	for _, b := range []struct{ name, arn string }{{os.Getenv("ONSITE_OBJECTS_S3_BUCKET"), ""}, {uploads, byWebhook}, {inbox, byRedis}} {
		if err := bucket(ctx, c, b.name, b.arn); err != nil {
			return fmt.Errorf("bucket %q: %w", b.name, err)
		}
	}
	// A last net below what workers remove themselves: nobody's upload lies about for long.
	rules := lifecycle.NewConfiguration()
	rules.Rules = []lifecycle.Rule{{ID: "uploads-end", Status: "Enabled", Expiration: lifecycle.Expiration{Days: 7}}}
	if err := c.SetBucketLifecycle(ctx, uploads, rules); err != nil {
		return fmt.Errorf("bucket %q: let old uploads end: %w", uploads, err)
	}
	return nil
}

// bucket makes one, and lets it tell of everything that is written to it.
func bucket(ctx context.Context, c *minio.Client, name, arn string) error {
	there, err := c.BucketExists(ctx, name)
	if err != nil {
		return err
	}
	if !there {
		if err := c.MakeBucket(ctx, name, minio.MakeBucketOptions{}); err != nil {
			return err
		}
	}
	if arn == "" {
		return nil
	}
	a, err := notification.NewArnFromString(arn)
	if err != nil {
		return err
	}
	to := notification.NewConfig(a)
	to.AddEvents(notification.ObjectCreatedAll)
	var all notification.Configuration
	all.AddQueue(to)
	if err := c.SetBucketNotification(ctx, name, all); err != nil {
		return fmt.Errorf("set its notification: %w", err)
	}
	return nil
}
