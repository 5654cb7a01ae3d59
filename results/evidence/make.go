package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/report"
	"onsite/results"
	"onsite/results/audit"
)

// Content is what goes into a package.
type Content struct {
	Verdict  []byte    // the revision's JSON, as it is stored and logged
	Earlier  [][]byte  // the revisions before it, oldest first
	Policy   []byte    // YAML of the policy that it was judged by
	Claim    []byte    // JSON whose sha256 the verdict names
	Received time.Time // of the upload, by the server's clock; zero: not known
	Pictures []Picture
	Print    []byte                            // the fingerprint; nil: none is kept
	Models   map[pipeline.ModelRef][]byte      // manifests of the models, as YAML, where they are known
	Proof    audit.Inclusion                   // of the entry that was written with the verdict
	Key      audit.Key                         // of the tenant's log
	PDF      func(html []byte) ([]byte, error) // prints a page; nil: no PDF goes in

	Recipient  string
	ExportedBy string
	ExportedAt time.Time
	Onsite     string
}

// Picture is a stored keyframe: other people in it are blurred already.
type Picture struct {
	Index int
	JPEG  []byte
}

// Make writes a package and gives its manifest.
func Make(w io.Writer, c Content) (Manifest, error) {
	var v pipeline.Verdict
	if err := json.Unmarshal(c.Verdict, &v); err != nil {
		return Manifest{}, fmt.Errorf("read the verdict: %w", err)
	}
	members, err := c.members(v)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{
		Schema: Schema, Job: v.Job, Tenant: v.Tenant, Revision: v.Revision, Recipient: c.Recipient, ExportedBy: c.ExportedBy,
		ExportedAt: c.ExportedAt.UTC().Truncate(time.Millisecond), Onsite: c.Onsite, LogKey: c.Key.Public,
	}
	for _, one := range members {
		if !memberName.MatchString(one.name) || len(one.data) > maxMember {
			return Manifest{}, fmt.Errorf("%s with %d bytes cannot go into an evidence package", one.name, len(one.data))
		}
		m.Files = append(m.Files, File{one.name, int64(len(one.data)), results.Sum(one.data)})
	}
	manifest, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return Manifest{}, err
	}
	signature, err := sign(manifest, c.Key.Secret)
	if err != nil {
		return Manifest{}, err
	}
	if err := pack(w, append([]member{{manifestName, manifest}, {signatureName, signature}}, members...)); err != nil {
		return Manifest{}, fmt.Errorf("write the evidence package: %w", err)
	}
	return m, nil
}

func (c Content) members(v pipeline.Verdict) ([]member, error) {
	proof, err := json.MarshalIndent(c.Proof, "", " ")
	if err != nil {
		return nil, err
	}
	out := []member{{verdictName, c.Verdict}, {proofName, proof}}
	for i, old := range c.Earlier {
		out = append(out, member{fmt.Sprintf("earlier/revision-%d.json", i+1), old})
	}
	if len(c.Policy) > 0 {
		out = append(out, member{policyName, c.Policy})
	}
	if len(c.Claim) > 0 {
		out = append(out, member{claimName, c.Claim})
	}
	if !c.Received.IsZero() {
		raw, err := json.Marshal(arrival{c.Received.UTC()})
		if err != nil {
			return nil, fmt.Errorf("write when the upload was received: %w", err)
		}
		out = append(out, member{arrivalName, raw})
	}
	for _, p := range c.Pictures {
		out = append(out, member{pictureName(p.Index), p.JPEG})
	}
	if len(c.Print) > 0 {
		out = append(out, member{printName, c.Print})
	}
	for _, ref := range v.Models {
		if text := c.Models[ref]; len(text) > 0 {
			out = append(out, member{"models/" + ref.Task + ".yaml", text})
		}
	}
	for _, lang := range []string{report.English, report.Chinese} {
		page, err := c.page(v, lang)
		if err != nil {
			return nil, err
		}
		out = append(out, member{"report-" + lang + ".html", page})
		if c.PDF == nil {
			continue
		}
		pdf, err := c.PDF(page)
		if err != nil {
			return nil, fmt.Errorf("print the report: %w", err)
		}
		out = append(out, member{"report-" + lang + ".pdf", pdf})
	}
	return append(out, member{"readme.txt", []byte(readme)}), nil
}

// arrival is the member that says when the upload came: checks of time and travel compare the claim with it.
type arrival struct {
	ReceivedAt time.Time `json:"received_at"`
}

const printName = "fingerprint.bin"

func pictureName(index int) string { return fmt.Sprintf("keyframes/%04d.jpg", index) }

// page is the verdict for people. What is drawn over pictures comes from the verdict itself.
func (c Content) page(v pipeline.Verdict, lang string) ([]byte, error) {
	in := report.Input{Verdict: v, Lang: lang, JSON: c.Verdict}
	for _, p := range c.Pictures {
		w, h := v.Media.Width, v.Media.Height
		in.Pictures = append(in.Pictures, report.Picture{Keyframe: p.Index, JPEG: p.JPEG, W: w, H: h})
	}
	for _, r := range v.Reasons {
		in.Segments = append(in.Segments, report.Segments(r.Evidence)...)
		in.Timeline.Spans = append(in.Timeline.Spans, report.Spans(r.Code, r.Evidence)...)
	}
	var b bytes.Buffer
	if err := report.Write(&b, in); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

const readme = `Evidence of a verdict by Onsite.        Onsite 结论证据包。

report-en.html, report-zh.html   what was found, for people            供阅读的报告
verdict.json                     the verdict, as it was stored          存储的结论原文
earlier/                         revisions before it                    更早的版本
keyframes/                       pictures; other people are blurred     关键帧，其他人已模糊
claim.json, policy.yaml          what it was judged by                  申报内容与策略
received.json                    when the server received it            服务器收到的时间
fingerprint.bin                  the recording's fingerprint            录像指纹
models/                          which models it used                   所用模型
proof.json                       its place in the tamper-evident log    在防篡改日志中的位置
manifest.json, manifest.sig      sha256 of all files, and a signature   全部文件的 sha256 及签名

Check it with the program:              用程序核验：
  onsite evidence verify FILE.zip --key KEY
KEY is the public key of the company's audit log; ask for it by another way than this file.
KEY 为该公司审计日志的公钥，请通过本文件以外的途径取得。

Without the program (sh, unzip, jq, openssl 3):     不使用本程序：
  unzip -q FILE.zip -d e && cd e
  jq -r '.files[] | .sha256 + "  " + .name' manifest.json | sha256sum -c            # every file is what was signed
  printf 'onsite.evidence/1\n%s\n' "$(sha256sum < manifest.json | cut -d' ' -f1)" > text
  tail -1 manifest.sig | cut -d' ' -f3 | base64 -d | tail -c 64 > sig                # after 4 bytes of the key's hash
  printf '%s' "$KEY" | cut -d+ -f3- | base64 -d | tail -c 32 > pub                   # after 1 byte of the kind of key
  { printf '302a300506032b6570032100' | xxd -r -p; cat pub; } > pub.der
  openssl pkeyutl -verify -pubin -keyform DER -inkey pub.der -rawin -in text -sigfile sig
  jq -r .entry.digest proof.json; sha256sum verdict.json                             # the log's entry names this verdict
The path of proof.json leads to the root in its checkpoint, which the same key signed: docs/audit.md has the steps.
`
