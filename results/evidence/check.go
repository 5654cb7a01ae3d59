package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/results"
	"onsite/results/audit"
)

// Finding is one thing that does not hold.
type Finding struct {
	File string        `json:"file"` // the member that it is about; "package" for the zip file itself
	Text pipeline.Text `json:"text"`
}

// Result is what a check says.
type Result struct {
	Manifest  Manifest  `json:"manifest"`
	Decision  string    `json:"decision,omitempty"`
	Signer    string    `json:"signer,omitempty"`  // the key that was given and that signed; empty: none was given
	Timestamp bool      `json:"timestamp"`         // a token of a timestamping authority is there
	Stamped   *Stamp    `json:"stamped,omitempty"` // what it says, checked or not; nil: there is none, or it does not hold
	Findings  []Finding `json:"findings"`

	files map[string][]byte
}

// Inputs are what a package has of what its verdict was made from. The media, photos and earlier footage are not in it.
type Inputs struct {
	Verdict pipeline.Verdict
	Claim   pipeline.Claim
	Policy  *policy.Policy // nil: it is not in the package
	// Received is when the upload came, by the server's clock; zero: the package, an older one, does not say.
	Received time.Time
}

// ErrNoClaim says that a package has no claim, so that its verdict cannot be made again.
var ErrNoClaim = errors.New("the package has no " + claimName)

// Inputs reads them; they mean nothing unless the package is intact. The error is ErrNoClaim for a package without a claim.
func (r *Result) Inputs() (in Inputs, err error) {
	if err := json.Unmarshal(r.files[verdictName], &in.Verdict); err != nil {
		return in, fmt.Errorf("read %s: %w", verdictName, err)
	}
	claim, ok := r.files[claimName]
	if !ok {
		return in, ErrNoClaim
	}
	if err := json.Unmarshal(claim, &in.Claim); err != nil {
		return in, fmt.Errorf("read %s: %w", claimName, err)
	}
	if raw, ok := r.files[arrivalName]; ok {
		var a arrival
		if err := strict(raw, &a); err != nil {
			return in, fmt.Errorf("read %s: %w", arrivalName, err)
		}
		in.Received = a.ReceivedAt
	}
	if text, ok := r.files[policyName]; ok {
		p, err := policy.Parse(policyName, text)
		if err != nil {
			return in, err
		}
		in.Policy = &p
	}
	return in, nil
}

// Intact says that nothing was found.
func (r *Result) Intact() bool { return len(r.Findings) == 0 }

func (r *Result) add(file, en, zh string, args ...any) {
	r.Findings = append(r.Findings, Finding{file, pipeline.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}})
}

// garbled adds that a member cannot be read, and why, which the libraries say in English alone.
func (r *Result) garbled(file, en, zh string, err error) {
	why := "内容不符合 JSON 格式"
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	field, unknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	switch {
	case errors.As(err, &wrong):
		why = fmt.Sprintf("字段 %s 的类型有误", wrong.Field)
	case errors.As(err, &syntax):
		why = fmt.Sprintf("第 %d 字节处不符合 JSON 格式", syntax.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		why = "没有内容，或内容不完整"
	case errors.Is(err, errTail):
		why = "末尾之后还有其他内容"
	case unknown:
		why = "有未知字段 " + field
	}
	r.Findings = append(r.Findings, Finding{file, pipeline.Text{EN: en + ": " + err.Error(), ZH: zh + "：" + why}})
}

// Check reads a package and says what in it does not hold. public is the log's key as the caller knows it; without one the package's own is
// used, which shows that the package agrees with itself and no more. The error is a PackageError for what is no package at all.
func Check(raw []byte, public string) (*Result, error) {
	members, err := unpack(raw)
	if err != nil {
		return nil, err
	}
	r := &Result{Findings: []Finding{}, Signer: public, files: map[string][]byte{}}
	c := &check{Result: r, key: public}
	for _, m := range members {
		c.files[m.name] = m.data
	}
	_, r.Timestamp = c.files[timestampName]
	manifest, ok := c.files[manifestName]
	if !ok {
		return nil, noPackage("it has no %s", "没有 %s", manifestName)
	}
	var again bytes.Buffer
	if err := pack(&again, members); err != nil || !bytes.Equal(again.Bytes(), raw) {
		r.add("package", "the zip file itself has other bytes than its members make: something was added, or its structure was changed", "压缩包本身的字节与其成员不符：添加了内容或改动了结构")
	}
	if err := strict(manifest, &r.Manifest); err != nil {
		r.garbled(manifestName, manifestName+" cannot be read", manifestName+" 无法读取", err)
		return r, nil
	}
	if r.Manifest.Schema != Schema {
		r.add(manifestName, "it is of the form %q, and this program knows %s", "其格式为 %q，本程序支持 %s", r.Manifest.Schema, Schema)
		return r, nil
	}
	if c.key == "" {
		c.key = r.Manifest.LogKey
	}
	c.signature(manifest)
	c.stamp(manifest)
	c.listed(members)
	c.verdict()
	return r, nil
}

type check struct {
	*Result
	key string
}

// signature holds the manifest against its signature.
func (c *check) signature(manifest []byte) {
	v, err := note.NewVerifier(c.key)
	if err != nil {
		c.add(signatureName, "%q is not a public key of an audit log (name+hash+base64)", "%q 不是审计日志的公钥（名称+哈希+base64）", c.key)
		return
	}
	if v.Name() != audit.Origin(c.Manifest.Tenant) {
		c.add(signatureName, "the key is of %s, and the package is of the tenant %s", "公钥属于 %s，而证据包属于租户 %s", v.Name(), c.Manifest.Tenant)
	}
	if c.Manifest.LogKey != c.key {
		c.add(manifestName, "the manifest names another key than the one that was given", "清单中的公钥与给出的不同")
	}
	n, err := note.Open(c.files[signatureName], note.VerifierList(v))
	switch {
	case err != nil:
		c.Findings = append(c.Findings, Finding{signatureName, pipeline.Text{EN: fmt.Sprintf("the manifest is not signed by %s: %v", c.key, err), ZH: fmt.Sprintf("清单不是由 %s 签署", c.key)}})
	case n.Text != signed(manifest):
		c.add(manifestName, "the manifest is not the one that was signed: it was changed", "清单与签名时不同：已被改动")
	case !bytes.Equal(c.files[signatureName], canonical(n)):
		c.add(signatureName, "the signature file has something beside the signature", "签名文件中除签名外还有其他内容")
	}
}

// stamp holds the token of a timestamping authority, if one is there, against the manifest.
func (c *check) stamp(manifest []byte) {
	if !c.Timestamp {
		return
	}
	s, err := readStamp(c.files[timestampName], manifest)
	var wrong *StampError
	if errors.As(err, &wrong) {
		c.Findings = append(c.Findings, Finding{timestampName, pipeline.Text{EN: "the timestamp token does not hold: " + wrong.Text.EN, ZH: "时间戳令牌无效：" + wrong.Text.ZH}})
		return
	}
	c.Stamped = &s
}

// canonical is a note with nothing but the signature that was verified.
func canonical(n *note.Note) []byte {
	n.UnverifiedSigs = nil
	b, err := note.Sign(n)
	if err != nil {
		return nil
	}
	return b
}

// listed holds every member against the manifest's list.
func (c *check) listed(members []member) {
	var names []string
	for _, f := range c.Manifest.Files {
		names = append(names, f.Name)
		data, ok := c.files[f.Name]
		switch {
		case !ok:
			c.add(f.Name, "%s was removed", "%s 已被移除", f.Name)
		case results.Sum(data) != f.SHA256 || int64(len(data)) != f.Bytes:
			c.add(f.Name, "%s was changed: its sha256 is %s, and %s was signed", "%s 已被改动：其 sha256 为 %s，而签名记载为 %s", f.Name, results.Sum(data), f.SHA256)
		}
	}
	for _, m := range members {
		if !slices.Contains(append(names, manifestName, signatureName, timestampName), m.name) {
			c.add(m.name, "%s was added: it is not in the manifest", "%s 是后来添加的：清单中没有", m.name)
		}
	}
}

// verdict holds the verdict against the log's proof and against what lies beside it.
func (c *check) verdict() {
	raw, ok := c.files[verdictName]
	if !ok {
		if !slices.ContainsFunc(c.Manifest.Files, func(f File) bool { return f.Name == verdictName }) {
			c.add(verdictName, "there is no verdict", "没有结论")
		}
		return
	}
	var v pipeline.Verdict
	if err := json.Unmarshal(raw, &v); err != nil {
		c.garbled(verdictName, "the verdict cannot be read", "结论无法读取", err)
		return
	}
	c.Decision = string(v.Decision)
	if v.Job != c.Manifest.Job || v.Tenant != c.Manifest.Tenant || v.Revision != c.Manifest.Revision {
		c.add(verdictName, "the verdict is of job %s, revision %d, and the manifest names %s, revision %d", "结论属于任务 %s 第 %d 版，而清单记载为 %s 第 %d 版", v.Job, v.Revision, c.Manifest.Job, c.Manifest.Revision)
	}
	c.proof(v, results.Sum(raw))
	for _, k := range v.Kept {
		name := printName
		if k.Kind == "keyframe" {
			name = pictureName(k.Index)
		}
		if data, ok := c.files[name]; ok && results.Sum(data) != k.SHA256 {
			c.add(name, "%s is not the picture or file that the verdict names", "%s 不是结论所指的图片或文件", name)
		}
	}
	for name := range c.files {
		if strings.HasPrefix(name, "keyframes/") && !slices.ContainsFunc(v.Kept, func(k pipeline.Kept) bool { return k.Kind == "keyframe" && pictureName(k.Index) == name }) {
			c.add(name, "the verdict does not name %s", "结论中没有 %s", name)
		}
	}
	if text, ok := c.files[policyName]; ok {
		if p, err := policy.Parse(policyName, text); err != nil || p.Digest() != v.Policy {
			c.add(policyName, "the policy is not the one that the verdict names (or this program reads it in another way than the one that made it, %s)", "策略与结论所指的不一致（或本程序与生成时的版本 %s 解读不同）", c.Manifest.Onsite)
		}
	}
	if claim, ok := c.files[claimName]; ok && "sha256:"+results.Sum(claim) != v.Inputs.Claim {
		c.add(claimName, "the claim is not the one that the verdict names", "申报内容与结论所指的不一致")
	}
	if raw, ok := c.files[arrivalName]; ok {
		if err := strict(raw, &arrival{}); err != nil {
			c.garbled(arrivalName, "when the upload was received cannot be read", "收到时间无法读取", err)
		}
	}
}

// proof holds the verdict against the audit log.
func (c *check) proof(v pipeline.Verdict, digest string) {
	var p audit.Inclusion
	if err := strict(c.files[proofName], &p); err != nil {
		c.garbled(proofName, "the proof cannot be read", "证明无法读取", err)
		return
	}
	if _, err := p.Check(c.key); err != nil {
		c.Findings = append(c.Findings, Finding{proofName, pipeline.Text{EN: fmt.Sprintf("the verdict's place in the audit log is not proven: %v", err), ZH: "结论在审计日志中的位置未得到证明"}})
	}
	action := results.EventVerdictCreated
	if v.Revision > 1 {
		action = results.EventVerdictRevised
	}
	switch {
	case p.Nonce == "":
		c.add(proofName, "the proof does not say what the log's entry is", "证明未说明日志记录的内容")
	case p.Entry.Action != action, p.Entry.Target != v.Job, p.Entry.Tenant != v.Tenant:
		c.add(proofName, "the log's entry is %s of %s, and not of this verdict", "日志记录为 %s（%s），与此结论无关", p.Entry.Action, p.Entry.Target)
	case p.Entry.Digest != digest:
		c.add(verdictName, "the verdict is not the one that was logged: it was changed", "结论与写入日志时不同：已被改动")
	}
}
