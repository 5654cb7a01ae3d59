package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/results"
)

const opTrySite = "test-site"

type trySiteInput struct {
	SitePath
	At time.Time `query:"at" doc:"when the photo is taken: posters are checked for that day; left out: now"`
	Stream
}

type trySiteOutput struct{ Body json.RawMessage }

func (s *Server) trySiteRoute() {
	register(s, describe(post, "/v1/sites/{id}/test", opTrySite, "sites", "Try a photo on a site",
		takes(map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{Type: "object", Required: []string{"photo"},
			Properties: map[string]*huma.Schema{"photo": binary("one photo, taken at the site or at another place")}}}}),
		func(op *huma.Operation) { op.MaxBodyBytes = maxPhotoBytes + 1<<20 },
		explained("Says what every reference and every name of the site makes of a photo: what was found, where, by how many points. The photo is not kept, no faces are looked at, "+
			"and nothing is written.")), s.trySite)
}

// trySite looks at one photo and keeps nothing of it.
func (s *Server) trySite(ctx context.Context, in *trySiteInput) (*trySiteOutput, error) {
	if s.Core == nil {
		return nil, problem(codeOff).with("This server looks at no pictures: it has no models.", "该服务器没有模型，无法检查图片。")
	}
	row, err := s.Store.Site(ctx, PrincipalOf(ctx).Tenant, in.ID, 0)
	if err != nil {
		return nil, err
	}
	photo, err := in.photo()
	if err != nil {
		return nil, err
	}
	defer photo.Close()
	in.done()
	select {
	case s.looking <- struct{}{}:
		defer func() { <-s.looking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	site, err := row.Core(func(r results.SiteReference) pipeline.Media { return vaultMedia{s.Vault, r.Key, r.Name} })
	if err != nil {
		return nil, err
	}
	if in.At.IsZero() {
		in.At = s.stamp()
	}
	trial, err := s.Core.TrySite(ctx, site, photo, in.At)
	var refused *media.Refusal
	switch {
	case errors.As(err, &refused) && refused.Name == photo.Name(): // the photo; what is wrong with a reference names that
		return nil, invalid("form.photo", refused.Rule, nil, refused.Text, pipeline.Text{})
	case err != nil:
		return nil, siteFault(coreFault(fmt.Errorf("try a photo on site %s: %w", in.ID, err)), "site")
	}
	body, err := json.Marshal(trial)
	return &trySiteOutput{Body: body}, err
}

// photo holds the one part of the form.
func (in *trySiteInput) photo() (*memory, error) {
	f, err := in.form()
	if err != nil {
		return nil, err
	}
	p, err := f.next()
	switch {
	case errors.Is(err, io.EOF) || err == nil && p.name != "photo":
		return nil, problem(codeUnreadable).field("form.photo", "missing", nil, say("is missing", "缺失"), say("send the photo as a part named photo", "请以名为 photo 的部分发送照片"))
	case err != nil:
		return nil, err
	}
	return hold(p.label(), p.bounded(maxPhotoBytes))
}
