package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// Compared is a result beside an earlier one. Machines and their hours differ, so costs are also given in units of bare libav on the same
// packets, which both runs measured.
type Compared struct {
	With    string             `json:"with"`
	Machine float64            `json:"machine"` // bare decoding now, as a multiple of then
	Stages  map[string]float64 `json:"stages"`  // CPU now, as a multiple of then
	Total   float64            `json:"total"`
	Fair    float64            `json:"total_by_machine"` // Total over Machine
}

// ReadResult reads the JSON of an earlier run.
func ReadResult(path string) (Result, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Result{}, fmt.Errorf("bench: read the earlier result: %w", err)
	}
	var old Result
	if err := json.Unmarshal(raw, &old); err != nil {
		return Result{}, fmt.Errorf("bench: %s is no result of `onsite bench --json`: %w", path, err)
	}
	if old.CPUSPerClip <= 0 || old.BareDecodeMS <= 0 {
		return Result{}, fmt.Errorf("bench: %s is no result of `onsite bench --json`: it has no CPU time", path)
	}
	return old, nil
}

// Compare puts the result beside the earlier one in a file.
func (r *Result) Compare(path string) error {
	old, err := ReadResult(path)
	if err != nil {
		return err
	}
	if !slices.Equal(old.Files, r.Files) {
		return fmt.Errorf("bench: %s measured other clips (%v) than this run (%v); measure the same ones", path, old.Files, r.Files)
	}
	c := Compared{With: path, Machine: r.BareDecodeMS / old.BareDecodeMS, Total: r.CPUSPerClip / old.CPUSPerClip, Stages: map[string]float64{}}
	for s, was := range old.Stages {
		if now, ok := r.Stages[s]; ok && was > 0 {
			c.Stages[s] = now / was
		}
	}
	if c.Machine > 0 {
		c.Fair = c.Total / c.Machine
	}
	r.Compared = &c
	return nil
}
