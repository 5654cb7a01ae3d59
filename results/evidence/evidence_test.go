package evidence

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"onsite/pipeline"
	"onsite/pipeline/policy"
	"onsite/pipeline/report"
	"onsite/results"
	"onsite/results/audit"
)

// content is a verdict with all that goes into a package, logged as the third of five entries.
func content(t testing.TB) Content {
	t.Helper()
	p, err := policy.Default("photo")
	require.NoError(t, err)
	text, err := policy.Source("photo")
	require.NoError(t, err)
	claim := []byte(`{"job":"j","tenant":"acme"}`)
	zero := 0
	v := pipeline.Verdict{
		Schema: pipeline.Schema, Job: "01JOB", Tenant: "acme", Subject: "e1", Decision: pipeline.DecisionAbnormal, Policy: p.Digest(), Revision: 1,
		Inputs: pipeline.Inputs{Claim: "sha256:" + results.Sum(claim)}, Models: []pipeline.ModelRef{{Task: "face_embed", Name: "n", SHA256: "s"}},
		Kept:    []pipeline.Kept{{Kind: "keyframe", Index: 0, SHA256: results.Sum([]byte("jpeg"))}, {Kind: "fingerprint", SHA256: results.Sum([]byte("print"))}},
		Reasons: []pipeline.Reason{{Code: pipeline.NoFace, Check: pipeline.CheckFace, Text: pipeline.Text{EN: "no face", ZH: "无人脸"}, Evidence: []pipeline.Evidence{{Kind: "keyframe", Keyframe: &zero, Box: &pipeline.Box{W: 5, H: 5}}}}},
	}
	body, err := json.Marshal(v)
	require.NoError(t, err)
	key, err := audit.NewKey("acme")
	require.NoError(t, err)
	c := Content{
		Verdict: body, Policy: text, Claim: claim, Received: time.Date(2026, 11, 2, 9, 0, 0, 123456789, time.UTC), Pictures: []Picture{{0, []byte("jpeg")}}, Print: []byte("print"), Key: key,
		Models:    map[pipeline.ModelRef][]byte{v.Models[0]: []byte("name: n\n")},
		Recipient: "Labour court", ExportedBy: "key-1", ExportedAt: time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC), Onsite: "test",
	}
	c.Proof = logged(t, key, results.AuditEntry{ID: "01ENTRY", Tenant: "acme", Action: results.EventVerdictCreated, Subject: "e1", Target: v.Job, Digest: results.Sum(body)})
	return c
}

// logged puts an entry into a log of five and proves it.
func logged(t testing.TB, key audit.Key, e results.AuditEntry) audit.Inclusion {
	t.Helper()
	nonce := audit.Nonce(audit.NewSalt(), e.ID)
	leaves := make([]tlog.Hash, 5)
	leaves[2] = audit.Leaf(nonce, e)
	kept, root, err := audit.Grow(0, leaves, nil)
	require.NoError(t, err)
	head := audit.Head{Origin: audit.Origin(e.Tenant), Size: 5, Root: root}
	p := audit.Inclusion{Entry: audit.EntryOf(e), Nonce: hex.EncodeToString(nonce), Index: 2}
	p.Leaf, p.Path, err = audit.Include(head, 2, tlog.HashReaderFunc(func(at []int64) (out []tlog.Hash, err error) {
		for _, x := range at {
			out = append(out, kept[x])
		}
		return out, nil
	}))
	require.NoError(t, err)
	p.Checkpoint, err = audit.Sign(head, key.Secret)
	require.NoError(t, err)
	return p
}

func made(t testing.TB, c Content) []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := Make(&b, c)
	require.NoError(t, err)
	return b.Bytes()
}

func TestPackageHolds(t *testing.T) {
	c := content(t)
	raw := made(t, c)
	r, err := Check(raw, c.Key.Public)
	require.NoError(t, err)
	require.Empty(t, r.Findings)
	require.Equal(t, "abnormal", r.Decision)
	require.Equal(t, "Labour court", r.Manifest.Recipient)
	require.False(t, r.Timestamp)
	require.Equal(t, raw, made(t, c), "the same content makes the same bytes")
	in, err := r.Inputs()
	require.NoError(t, err)
	require.True(t, c.Received.Equal(in.Received), "to the nanosecond: a claim's time that equals it was not claimed")
	unpinned, err := Check(raw, "")
	require.NoError(t, err)
	require.True(t, unpinned.Intact())
	require.Empty(t, unpinned.Signer)

	other, err := audit.NewKey("acme")
	require.NoError(t, err)
	r, err = Check(raw, other.Public)
	require.NoError(t, err)
	require.Equal(t, []string{manifestName, signatureName, proofName}, sorted(r), "another key than the pinned one")
	_, err = Check([]byte("no zip"), "")
	var none *PackageError
	require.ErrorAs(t, err, &none)
	require.Equal(t, "不是证据包：无法作为 zip 文件读取", none.Text.ZH)

	c.PDF = func(html []byte) ([]byte, error) { return []byte("%PDF of " + string(html[:9])), nil }
	r, err = Check(made(t, c), c.Key.Public)
	require.NoError(t, err)
	require.Empty(t, r.Findings)
	names := func() (all []string) {
		for _, f := range r.Manifest.Files {
			all = append(all, f.Name)
		}
		return all
	}()
	require.Equal(t, []string{"verdict.json", "proof.json", "policy.yaml", "claim.json", "received.json", "keyframes/0000.jpg", "fingerprint.bin", "models/face_embed.yaml",
		"report-en.html", "report-en.pdf", "report-zh.html", "report-zh.pdf", "readme.txt"}, names)
	c.PDF = func([]byte) ([]byte, error) { return nil, errors.New("no printer") }
	_, err = Make(&bytes.Buffer{}, c)
	require.ErrorContains(t, err, "no printer")
}

func sorted(r *Result) (files []string) {
	for _, f := range r.Findings {
		if !slices.Contains(files, f.File) {
			files = append(files, f.File)
		}
	}
	slices.Sort(files)
	return files
}

// The page shows which earlier footage was found again, and when, without its pictures; boxes have short names.
func TestPageShowsTheMatch(t *testing.T) {
	c := content(t)
	var v pipeline.Verdict
	require.NoError(t, json.Unmarshal(c.Verdict, &v))
	from, to, theirs, end, score := int64(0), int64(6000), int64(2000), int64(8000), 0.97
	v.Media.Kind, v.Media.DurationMS, v.Media.Width, v.Media.Height = "video", 6000, 640, 480
	v.Media.Keyframes = []pipeline.Keyframe{{}}
	v.Reasons[0].Evidence[0].Label = "other_face"
	v.Reasons = append(v.Reasons, pipeline.Reason{Code: pipeline.FootageReused, Check: pipeline.CheckReuse, Evidence: []pipeline.Evidence{
		{Kind: "segment", Job: "01EARLIER", FromMS: &from, ToMS: &to, TheirFromMS: &theirs, TheirToMS: &end, Transform: "mirrored", Score: &score},
	}})
	chinese, err := c.page(v, report.Chinese)
	require.NoError(t, err)
	require.Contains(t, string(chinese), "左右镜像")
	page, err := c.page(v, report.English)
	require.NoError(t, err)
	for _, shown := range []string{"Matched earlier footage", "01EARLIER", "0:02.0–0:08.0", "mirrored", "0.97", "seen before", "another person"} {
		require.Contains(t, string(page), shown)
	}
	require.NotContains(t, string(page), "picture no longer available", "packages never hold pictures of earlier footage")
}

// Not one byte of a package can be another one: headers, the manifest's first lines and the directory are tried whole, the rest in steps.
func TestEveryByteCountsUnraced(t *testing.T) {
	c := content(t)
	raw := made(t, c)
	for i := range raw {
		if i > 400 && i < len(raw)-900 && i%61 != 0 {
			continue
		}
		bad := bytes.Clone(raw)
		bad[i] ^= 1 << (i % 8)
		r, err := Check(bad, c.Key.Public)
		require.True(t, err != nil || !r.Intact(), "byte %d of %d can be changed", i, len(raw))
	}
	for _, bad := range [][]byte{append(bytes.Clone(raw), 0), raw[:len(raw)-1], append([]byte{0}, raw...)} {
		r, err := Check(bad, c.Key.Public)
		require.True(t, err != nil || !r.Intact())
	}
}

// forge makes a package anew after members were changed, with the manifest as it was signed.
func forge(t *testing.T, raw []byte, do func(files map[string]*[]byte, add func(name, text string)) (drop string)) []byte {
	t.Helper()
	members, err := unpack(raw)
	require.NoError(t, err)
	files := map[string]*[]byte{}
	for i := range members {
		files[members[i].name] = &members[i].data
	}
	drop := do(files, func(name, text string) { members = append(members, member{name, []byte(text)}) })
	members = slices.DeleteFunc(members, func(m member) bool { return m.name == drop })
	var b bytes.Buffer
	require.NoError(t, pack(&b, members))
	return b.Bytes()
}

func TestForgeriesAreNamed(t *testing.T) {
	c := content(t)
	raw := made(t, c)
	for name, f := range map[string]struct {
		do   func(files map[string]*[]byte, add func(name, text string)) string
		want []string
	}{
		"a keyframe is another": {func(f map[string]*[]byte, _ func(string, string)) string {
			*f["keyframes/0000.jpg"] = []byte("other")
			return ""
		}, []string{"keyframes/0000.jpg"}},
		"the policy is another": {func(f map[string]*[]byte, _ func(string, string)) string {
			*f[policyName] = bytes.ToUpper(*f[policyName])
			return ""
		}, []string{policyName}},
		"the claim is another": {func(f map[string]*[]byte, _ func(string, string)) string {
			*f[claimName] = []byte("{}")
			return ""
		}, []string{claimName}},
		"the verdict says pass": {func(f map[string]*[]byte, _ func(string, string)) string {
			*f[verdictName] = bytes.Replace(*f[verdictName], []byte("abnormal"), []byte("pass"), 1)
			return ""
		}, []string{verdictName}},
		"a report is another": {func(f map[string]*[]byte, _ func(string, string)) string {
			*f["report-zh.html"] = []byte("<p>")
			return ""
		}, []string{"report-zh.html"}},
		"a picture is added":    {func(_ map[string]*[]byte, add func(string, string)) string { add("keyframes/0009.jpg", "x"); return "" }, []string{"keyframes/0009.jpg"}},
		"a file is added":       {func(_ map[string]*[]byte, add func(string, string)) string { add("more.txt", "x"); return "" }, []string{"more.txt"}},
		"the proof is gone":     {func(map[string]*[]byte, func(string, string)) string { return proofName }, []string{proofName}},
		"the verdict is gone":   {func(map[string]*[]byte, func(string, string)) string { return verdictName }, []string{verdictName}},
		"the signature is gone": {func(map[string]*[]byte, func(string, string)) string { return signatureName }, []string{signatureName}},
		"the recipient is another": {func(f map[string]*[]byte, _ func(string, string)) string {
			*f[manifestName] = bytes.Replace(*f[manifestName], []byte("Labour"), []byte("Higher"), 1)
			return ""
		}, []string{manifestName}},
		"the manifest has more": {func(f map[string]*[]byte, _ func(string, string)) string {
			*f[manifestName] = append(*f[manifestName], " {}"...)
			return ""
		}, []string{manifestName}},
		"the signature file has more": {func(f map[string]*[]byte, _ func(string, string)) string {
			*f[signatureName] = append(*f[signatureName], "— other AAAA\n"...)
			return ""
		}, []string{signatureName}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Check(forge(t, raw, f.do), c.Key.Public)
			require.NoError(t, err)
			require.Equal(t, f.want, sorted(r), "%v", r.Findings)
			for _, one := range r.Findings {
				require.NotEmpty(t, one.Text.EN)
				require.NotRegexp(t, "json:|unknown|EOF|invalid|cannot", one.Text.ZH)
			}
		})
	}
	for garbled, why := range map[string]string{"": "没有内容", "{": "没有内容", "{]": "第 2 字节处", `{"other":1}`: `有未知字段 "other"`, `{"received_at":1}`: "不符合 JSON 格式", "{}{}": "末尾之后"} {
		var r Result
		r.garbled(arrivalName, "it cannot be read", "无法读取", strict([]byte(garbled), &arrival{}))
		require.Contains(t, r.Findings[0].Text.ZH, why, garbled)
	}
}

// A package whose maker has the key, and whose log says otherwise.
func TestProofOfAnotherVerdict(t *testing.T) {
	c := content(t)
	c.Verdict = bytes.Replace(c.Verdict, []byte("abnormal"), []byte("pass"), 1)
	r, err := Check(made(t, c), c.Key.Public)
	require.NoError(t, err)
	require.Equal(t, []string{verdictName}, sorted(r))
	require.Contains(t, r.Findings[0].Text.EN, "logged")
	c = content(t)
	c.Proof = logged(t, c.Key, results.AuditEntry{ID: "x", Tenant: "acme", Action: "photo.read", Target: "01JOB", Digest: results.Sum(c.Verdict)})
	r, err = Check(made(t, c), c.Key.Public)
	require.NoError(t, err)
	require.Equal(t, []string{proofName}, sorted(r))
	c = content(t)
	c.Proof.Path[0] = strings.Repeat("11", 32)
	r, err = Check(made(t, c), c.Key.Public)
	require.NoError(t, err)
	require.Equal(t, []string{proofName}, sorted(r))
}

// Members that share their bytes would make much of little.
func TestOverlappingMembers(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, pack(&b, []member{{"manifest.json", bytes.Repeat([]byte("x"), 1000)}}))
	raw := b.Bytes()
	at := bytes.Index(raw, []byte("PK\x01\x02"))
	end := bytes.Index(raw, []byte("PK\x05\x06"))
	entry, tail := raw[at:end], bytes.Clone(raw[end:])
	var bomb bytes.Buffer
	bomb.Write(raw[:at])
	for i := range 3 {
		bomb.Write(bytes.Replace(entry, []byte("manifest.json"), []byte(fmt.Sprintf("manifes%d.json", i)), 1))
	}
	tail[8], tail[10] = 3, 3
	binary.LittleEndian.PutUint32(tail[12:], uint32(3*len(entry)))
	bomb.Write(tail)
	_, err := Check(bomb.Bytes(), "")
	require.ErrorContains(t, err, "more bytes than the file")
}

func FuzzCheck(f *testing.F) {
	f.Add(made(f, content(f)))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Check(raw, "")
		if err != nil {
			var none *PackageError
			require.ErrorAs(t, err, &none)
			return
		}
		require.NotNil(t, r)
	})
}
