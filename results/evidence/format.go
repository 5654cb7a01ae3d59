package evidence

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"time"

	"golang.org/x/mod/sumdb/note"

	"onsite/pipeline"
	"onsite/results"
)

// Schema is the version of the package's form.
const Schema = "onsite.evidence/1"

// The members that are not listed in the manifest.
const (
	manifestName  = "manifest.json"
	signatureName = "manifest.sig"
	timestampName = "timestamp.tsr" // an RFC 3161 token over manifest.json, where somebody added one: not ours to make
)

// The members that a check reads.
const (
	verdictName = "verdict.json"
	proofName   = "proof.json"
	policyName  = "policy.yaml"
	claimName   = "claim.json"
	arrivalName = "received.json"
)

// Bounds of a package, against one that was made to fill a disk.
const (
	maxMembers = 512
	maxMember  = 64 << 20
	maxPackage = 512 << 20
)

// Manifest says what is in a package and for whom it was made. Its bytes are what is signed.
type Manifest struct {
	Schema     string    `json:"schema"`
	Job        string    `json:"job"`
	Tenant     string    `json:"tenant"`
	Revision   int       `json:"revision"`
	Recipient  string    `json:"recipient"` // for whom, in the exporter's words
	ExportedBy string    `json:"exported_by"`
	ExportedAt time.Time `json:"exported_at"`
	Onsite     string    `json:"onsite"`  // version of the program
	LogKey     string    `json:"log_key"` // public key of the tenant's audit log, which signs this, too
	Files      []File    `json:"files"`
}

// File is one member of a package.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// names of members: no folders that lead out, nothing that a shell or a file system takes for something else.
var memberName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*)?\.[a-z0-9]{1,5}$`)

// member is a file with its bytes.
type member struct {
	name string
	data []byte
}

// signed is the text that the signature is over.
func signed(manifest []byte) string { return Schema + "\n" + results.Sum(manifest) + "\n" }

// sign gives the signature as a C2SP signed note, with the key of the tenant's audit log.
func sign(manifest []byte, secret string) ([]byte, error) {
	s, err := note.NewSigner(secret)
	if err != nil {
		return nil, fmt.Errorf("use the key of the audit log: %w", err)
	}
	return note.Sign(&note.Note{Text: signed(manifest)}, s)
}

// pack writes members as they are, uncompressed, without times or flags: the same members always make the same bytes, so that not one
// byte of a package can be changed unseen.
func pack(w io.Writer, members []member) error {
	z := zip.NewWriter(w)
	for _, m := range members {
		size := uint64(len(m.data))
		f, err := z.CreateRaw(&zip.FileHeader{Name: m.name, Method: zip.Store, CRC32: crc32.ChecksumIEEE(m.data), CompressedSize64: size, UncompressedSize64: size})
		if err != nil {
			return err
		}
		if _, err := f.Write(m.data); err != nil {
			return err
		}
	}
	return z.Close()
}

// PackageError says that a file is no evidence package, and why.
type PackageError struct{ Text pipeline.Text }

func (e *PackageError) Error() string { return e.Text.EN }

func noPackage(en, zh string, args ...any) error {
	return &PackageError{pipeline.Text{EN: "not an evidence package: " + fmt.Sprintf(en, args...), ZH: "不是证据包：" + fmt.Sprintf(zh, args...)}}
}

// unpack reads the members of a package, in their order.
func unpack(raw []byte) ([]member, error) {
	if len(raw) > maxPackage {
		return nil, noPackage("it has %d bytes, and %d is the most", "有 %d 字节，上限为 %d", len(raw), maxPackage)
	}
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return nil, noPackage("it cannot be read as a zip file", "无法作为 zip 文件读取")
	}
	if len(z.File) > maxMembers {
		return nil, noPackage("it has %d members, and %d is the most", "有 %d 个成员，上限为 %d", len(z.File), maxMembers)
	}
	seen := map[string]bool{}
	var out []member
	all := uint64(0)
	for _, f := range z.File { // members that share bytes would give more than the file has
		if all += min(f.UncompressedSize64, maxPackage+1); all > uint64(len(raw)) {
			return nil, noPackage("its members say that they have more bytes than the file", "其成员声称的字节数超过文件本身")
		}
	}
	for _, f := range z.File {
		switch {
		case !memberName.MatchString(f.Name):
			return nil, noPackage("it has a member of the name %q", "有名为 %q 的成员", f.Name)
		case seen[f.Name]:
			return nil, noPackage("it has two members of the name %s", "有两个名为 %s 的成员", f.Name)
		case f.Method != zip.Store:
			return nil, noPackage("its member %s is compressed", "其成员 %s 经过压缩", f.Name)
		case f.UncompressedSize64 > maxMember:
			return nil, noPackage("its member %s says that it has %d bytes, and %d is the most", "其成员 %s 声称有 %d 字节，上限为 %d", f.Name, f.UncompressedSize64, maxMember)
		}
		seen[f.Name] = true
		r, err := f.Open()
		if err != nil {
			return nil, noPackage("its member %s cannot be read", "其成员 %s 无法读取", f.Name)
		}
		data, err := io.ReadAll(io.LimitReader(r, maxMember+1))
		if err = errors.Join(err, r.Close()); err != nil && !errors.Is(err, zip.ErrChecksum) { // a wrong checksum is found by its sha256, with a name
			return nil, noPackage("its member %s cannot be read", "其成员 %s 无法读取", f.Name)
		}
		out = append(out, member{f.Name, data})
	}
	return out, nil
}

var errTail = errors.New("something follows after its end")

// strict reads JSON that may have nothing else in it.
func strict(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errTail
	}
	return nil
}
