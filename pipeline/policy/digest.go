package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"onsite/pipeline"
)

// Digest identifies the rules: "sha256:" and the hex digest of the canonical form, which is the JSON of the policy with every default
// filled in, keys of maps sorted, and without the description. Layout, comments, key order and left-out defaults of the YAML do not
// change it; every rule, threshold, limit, the name and the version do.
func (p Policy) Digest() string {
	q := p
	q.Description = pipeline.Text{}
	q.Checks = make(map[pipeline.CheckName]Rule, len(p.Checks))
	for name, r := range p.Checks {
		q.Checks[name] = r
	}
	q.fill()
	q.Media = []string{}
	for _, k := range mediaKinds { // one order, whatever the file's
		if p.Accepts(k) {
			q.Media = append(q.Media, k)
		}
	}
	if q.Reasons == nil {
		q.Reasons = map[pipeline.Code]Action{}
	}
	raw, err := json.Marshal(q)
	if err != nil {
		// Only a NaN or an infinity cannot be written, and Validate refuses both.
		panic(fmt.Sprintf("digest of policy %q: %v", p.Name, err))
	}
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}
