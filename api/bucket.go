package api

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"onsite/results"
)

// Bucket maps uploads in a bucket that is not Onsite's to this tenant.
type Bucket struct {
	Bucket    string    `json:"bucket"`
	Prefix    string    `json:"prefix" doc:"keys begin with it; empty: all of the bucket"`
	CreatedAt time.Time `json:"created_at"`
}

// BucketInput names a bucket and a prefix.
type BucketInput struct {
	Bucket string `json:"bucket" minLength:"3" maxLength:"63"`
	Prefix string `json:"prefix,omitempty" maxLength:"512"`
}

type putBucketInput struct{ Body BucketInput }

type deleteBucketInput struct {
	Bucket string `query:"bucket" required:"true" minLength:"3" maxLength:"63"`
	Prefix string `query:"prefix" maxLength:"512"`
}

type bucketOutput struct{ Body Bucket }

type bucketsOutput struct{ Body List[Bucket] }

func (s *Server) bucketRoutes() {
	register(s, describe(put, "/v1/buckets", "put-bucket", "intake", "Map a bucket's uploads to the tenant",
		explained("Events of objects under the prefix start jobs of this tenant, as far as a claim was recorded for them with POST /v1/uploads. Two tenants cannot have the same "+
			"place, nor one a place inside another's. In an installation with several tenants the operator says who may map which bucket.")), s.putBucket)
	register(s, describe(get, "/v1/buckets", "list-buckets", "intake", "List mapped buckets"), func(ctx context.Context, _ *nothing) (*bucketsOutput, error) {
		all, err := s.Store.BucketMaps(ctx, PrincipalOf(ctx).Tenant)
		out := &bucketsOutput{Body: List[Bucket]{Items: make([]Bucket, 0, len(all))}}
		for _, m := range all {
			out.Body.Items = append(out.Body.Items, Bucket{Bucket: m.Bucket, Prefix: m.Prefix, CreatedAt: m.CreatedAt})
		}
		return out, err
	})
	register(s, describe(del, "/v1/buckets", "delete-bucket", "intake", "Unmap a bucket", answers(http.StatusNoContent)),
		func(ctx context.Context, in *deleteBucketInput) (*nothing, error) {
			tenant := PrincipalOf(ctx).Tenant
			if err := s.Store.DeleteBucketMap(ctx, tenant, in.Bucket, in.Prefix, s.entry(ctx, "bucket.unmapped", "", "", "")); err != nil {
				return nil, err
			}
			s.maps.forget("")
			return &nothing{}, nil
		})
}

var bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

func (s *Server) putBucket(ctx context.Context, in *putBucketInput) (*bucketOutput, error) {
	b, prefix, tenant := in.Body.Bucket, in.Body.Prefix, PrincipalOf(ctx).Tenant
	switch {
	case !bucketForm.MatchString(b):
		return nil, invalid("body.bucket", "pattern", nil, say("is not a bucket's name", "不是有效的存储桶名称"), say("use 3 to 63 small letters, digits, dots and dashes", "请使用 3 至 63 个小写字母、数字、点或连字符"))
	case !utf8.ValidString(prefix), strings.HasPrefix(prefix, "/"), strings.ContainsFunc(prefix, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, invalid("body.prefix", "pattern", nil, say("is not the beginning of an object's key", "不是有效的对象键前缀"), say("write it as incoming/2026/, without a slash in front", "请写成 incoming/2026/，开头不带斜杠"))
	}
	if err := s.mayMap(ctx, tenant, b, prefix); err != nil {
		return nil, err
	}
	m := results.BucketMap{Bucket: b, Prefix: prefix, Tenant: tenant, CreatedAt: s.stamp()}
	if err := s.Store.PutBucketMap(ctx, m, s.entry(ctx, "bucket.mapped", "", "", "")); err != nil {
		return nil, err
	}
	s.maps.forget("")
	return &bucketOutput{Body: Bucket{Bucket: b, Prefix: prefix, CreatedAt: m.CreatedAt}}, nil
}

// mayMap keeps tenants from taking each other's uploads: whoever maps a place first would receive what others upload there.
func (s *Server) mayMap(ctx context.Context, tenant, bucket, prefix string) error {
	if bucket == s.UploadBucket || slices.Contains(s.OwnBuckets, bucket) {
		return problem(codeForeign).with("This bucket is Onsite's own; it needs no mapping.", "该存储桶为 Onsite 自有，无需映射。")
	}
	if s.MayMap != nil {
		if !s.MayMap(tenant, bucket, prefix) {
			return problem(codeForeign)
		}
	} else {
		all, err := s.Store.Tenants(ctx)
		if err != nil {
			return err
		}
		if len(all) > 1 {
			return problem(codeForeign)
		}
	}
	maps, err := s.Store.BucketMaps(ctx, "")
	if err != nil {
		return err
	}
	for _, m := range maps {
		if m.Bucket == bucket && m.Tenant != tenant && (strings.HasPrefix(m.Prefix, prefix) || strings.HasPrefix(prefix, m.Prefix)) {
			return problem(codeForeign)
		}
	}
	return nil
}
