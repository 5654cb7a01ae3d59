package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/results"
	merkle "onsite/results/audit"
	"onsite/results/evidence"
	"onsite/results/object"
)

const opEvidence = "export-evidence"

type evidenceInput struct {
	JobPath
	Revision  int    `query:"revision" minimum:"0" doc:"which revision; left out: the newest"`
	Recipient string `query:"recipient" required:"true" minLength:"1" maxLength:"200" doc:"for whom the package is made; it stands in the package and in the audit log"`
	PDF       bool   `query:"pdf" doc:"also with the report as PDF; takes some seconds"`
}

// Resolve gives the answer the time of work on pictures: packages wait for their turn, and with PDF for Chromium, too.
func (in *evidenceInput) Resolve(ctx huma.Context) []error {
	extend(ctx, workTime)
	return nil
}

func (s *Server) evidenceRoutes() {
	register(s, huma.Operation{OperationID: opEvidence, Method: http.MethodGet, Path: "/v1/verdicts/{job}/evidence", Tags: []string{"verdicts"},
		Summary:     "A signed evidence package of a verdict",
		Description: "One zip file with the verdict, its pictures and inputs, its place in the audit log, a report, and a signature: whoever has the log's public key can check it offline (\"onsite evidence verify\"). Every export is written to the audit log with its recipient.",
		Errors:      []int{401, 403, 404, 410, 422, 429, 503},
		Responses:   map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"application/zip": {Schema: binary("the package")}}}}}, s.exportEvidence)
}

// maxPicture bounds a stored picture or fingerprint.
const maxPicture = 16 << 20

func (s *Server) exportEvidence(ctx context.Context, in *evidenceInput) (*huma.StreamResponse, error) {
	noteJob(ctx, in.Job)
	if in.PDF && s.Print == nil {
		return nil, problem(codeOff).with("This server makes no PDF: Chromium is not installed. Leave pdf out; the report is in the package as HTML.", "本服务器无法生成 PDF：未安装 Chromium。请去掉 pdf；包内已有 HTML 报告。")
	}
	v, err := s.verdict(ctx, in.Job, in.Revision)
	if err != nil {
		return nil, err
	}
	free, err := s.plain.enter(ctx, v.Tenant, s.patience)
	if err != nil {
		return nil, problem(codeBusyStreams).retry(time.Second)
	}
	defer free()
	c, err := s.evidence(ctx, v)
	if err != nil {
		return nil, err
	}
	c.Recipient = strings.TrimSpace(in.Recipient)
	if in.PDF {
		c.PDF = func(html []byte) ([]byte, error) { return s.Print(ctx, html) }
	}
	var b bytes.Buffer
	if _, err := evidence.Make(&b, c); err != nil {
		return nil, err
	}
	// The export is in the audit log before its first byte goes out.
	sum := sha256.Sum256(b.Bytes())
	if err := s.Store.Append(ctx, s.entry(ctx, "evidence.exported", v.Subject, v.Job+" for "+c.Recipient, hex.EncodeToString(sum[:]))); err != nil {
		return nil, fmt.Errorf("write to the audit log who gets the evidence of job %s: %w", v.Job, err)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		_, w := humago.Unwrap(hctx)
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%d.zip"`, v.Job, v.Revision))
		_, _ = w.Write(b.Bytes()) // the client is gone, then
	}}, nil
}

// evidence collects what goes into the package of a verdict.
func (s *Server) evidence(ctx context.Context, v results.Verdict) (c evidence.Content, err error) {
	who := PrincipalOf(ctx)
	c = evidence.Content{Verdict: v.Body, ExportedBy: who.Key, ExportedAt: s.stamp(), Onsite: s.Version, Models: map[pipeline.ModelRef][]byte{}}
	var body pipeline.Verdict
	if err := json.Unmarshal(v.Body, &body); err != nil {
		return c, fmt.Errorf("read the verdict of job %s: %w", v.Job, err)
	}
	if c.Proof, c.Key, err = s.logged(ctx, v); err != nil {
		return c, err
	}
	revisions, err := s.Store.VerdictRevisions(ctx, v.Tenant, v.Job)
	if err != nil {
		return c, fmt.Errorf("read the revisions of job %s: %w", v.Job, err)
	}
	for _, old := range revisions {
		if old.Revision < v.Revision {
			c.Earlier = append(c.Earlier, old.Body)
		}
	}
	sub, err := s.Store.Submission(ctx, v.Job)
	if err != nil {
		return c, fmt.Errorf("read the submission of job %s: %w", v.Job, err)
	}
	claim, err := sub.CoreClaim()
	if err != nil {
		return c, err
	}
	if c.Claim, err = json.Marshal(claim); err != nil {
		return c, err
	}
	c.Received = sub.ReceivedAt
	if c.Policy, err = s.policyOf(ctx, v, body.Policy); err != nil {
		return c, err
	}
	for _, m := range body.Models {
		if s.Manifest != nil {
			c.Models[m] = s.Manifest(m)
		}
	}
	return c, s.pictures(ctx, v, body, &c)
}

// logged proves the verdict's entry of the audit log, and opens the log's key.
func (s *Server) logged(ctx context.Context, v results.Verdict) (p merkle.Inclusion, key merkle.Key, err error) {
	about, err := s.Store.LogEntriesAbout(ctx, v.Tenant, v.Job, maxEntries)
	if err != nil {
		return p, key, err
	}
	sub, err := s.Store.Subject(ctx, v.Tenant, v.Subject)
	if err == nil && !sub.ErasedAt.IsZero() {
		return p, key, problem(codeErased).with("The person was erased, and with that what this verdict could be proven by.", "该人员已删除，其结论不再能够证明。")
	}
	if err != nil && !errors.Is(err, results.ErrNotFound) {
		return p, key, err
	}
	e, standing := merkle.VerdictEntry(about, v.Revision, results.Sum(v.Body))
	if standing != merkle.Logged {
		return p, key, fmt.Errorf("verdict %s, revision %d, is not what the audit log has of it: run \"onsite audit verify\"", v.Job, v.Revision)
	}
	if p, err = s.prove(ctx, e); err != nil {
		return p, key, err
	}
	if p.Nonce == "" { // erased since
		return p, key, problem(codeErased)
	}
	k, err := s.Store.LogKey(ctx, v.Tenant)
	if err != nil {
		return p, key, err
	}
	secret, err := s.Vault.OpenBytes(ctx, v.Tenant, results.TenantSubject, results.LogKeyRecord, k.Sealed)
	return p, merkle.Key{Secret: string(secret), Public: k.Public}, err
}

// maxEntries bounds the entries about one job that are looked through.
const maxEntries = 1000

// policyOf finds the YAML of the policy that a verdict names by its digest: a revision of the tenant's own, or a built-in one. One that is not
// there any more (an older program's) is left out.
func (s *Server) policyOf(ctx context.Context, v results.Verdict, digest string) ([]byte, error) {
	newest, err := s.Store.Policy(ctx, v.Tenant, v.Policy, 0)
	if err != nil && !errors.Is(err, results.ErrNotFound) {
		return nil, fmt.Errorf("read policy %s: %w", v.Policy, err)
	}
	for rev := newest.Rev; rev > 0; rev-- {
		p, err := s.Store.Policy(ctx, v.Tenant, v.Policy, rev)
		if err == nil && p.Digest == digest {
			return p.YAML, nil
		}
	}
	if p, err := policy.Default(v.Policy); err == nil && p.Digest() == digest {
		return policy.Source(v.Policy)
	}
	return nil, nil
}

// pictures reads the stored keyframes that the verdict names, and its fingerprint. What is past its time is left out.
func (s *Server) pictures(ctx context.Context, v results.Verdict, body pipeline.Verdict, c *evidence.Content) error {
	rows, err := s.Store.Evidence(ctx, v.Tenant, v.Job)
	if err != nil {
		return fmt.Errorf("read the evidence of job %s: %w", v.Job, err)
	}
	keys := map[int]string{}
	for _, e := range rows {
		keys[e.Index] = e.Key
	}
	for _, k := range body.Kept {
		if k.Kind != "keyframe" || keys[k.Index] == "" {
			continue
		}
		raw, err := s.Vault.Read(ctx, keys[k.Index], maxPicture)
		switch {
		case errors.Is(err, object.ErrNotFound), errors.Is(err, results.ErrErased):
			continue
		case err != nil:
			return fmt.Errorf("open keyframe %d of job %s: %w", k.Index, v.Job, err)
		}
		c.Pictures = append(c.Pictures, evidence.Picture{Index: k.Index, JPEG: raw})
	}
	print, err := s.Store.Print(ctx, v.Tenant, v.Job)
	if err == nil {
		c.Print, err = s.Vault.Read(ctx, print.Key, maxPicture)
	}
	if err != nil && !errors.Is(err, results.ErrNotFound) && !errors.Is(err, object.ErrNotFound) && !errors.Is(err, results.ErrErased) {
		return fmt.Errorf("open the fingerprint of job %s: %w", v.Job, err)
	}
	return nil
}
