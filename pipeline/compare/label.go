package compare

import (
	"fmt"
	"path/filepath"

	"onsite/pipeline"
)

// Labels is what somebody knows of stored jobs.
type Labels struct {
	Jobs   map[string]string            // job -> genuine, impostor
	Groups map[string]map[string]string // job or subject -> column -> value
}

// ReadLabels reads a CSV file about stored jobs. Its first line names the columns job or subject (or both; the job counts where a line has it), label
// (genuine, impostor or empty; for lines with a job), and any others, which are groups: light, declared ...
func ReadLabels(path string) (Labels, error) {
	f, err := pipeline.OpenRegular(path)
	if err != nil {
		return Labels{}, err
	}
	defer f.Close()
	rows, err := parseTable(filepath.Base(path), f)
	if err != nil {
		return Labels{}, err
	}
	out := Labels{Jobs: map[string]string{}, Groups: map[string]map[string]string{}}
	for i, row := range rows {
		where := func(format string, args ...any) error {
			return fmt.Errorf("read %s: line %d: %s", filepath.Base(path), i+2, fmt.Sprintf(format, args...))
		}
		of := row["job"]
		if of == "" {
			of = row["subject"]
		}
		if of == "" {
			return Labels{}, where("it has neither a job nor a subject")
		}
		if label := Label(row["label"]); label != "" {
			if label != Genuine && label != Impostor {
				return Labels{}, where("label: %q is not %s, %s or empty", label, Genuine, Impostor)
			}
			if row["job"] == "" {
				return Labels{}, where("a label is of a job, not of a subject")
			}
			out.Jobs[of] = string(label)
		}
		for by, value := range row {
			switch by {
			case "job", "subject", "label":
			default:
				if out.Groups[of] == nil {
					out.Groups[of] = map[string]string{}
				}
				out.Groups[of][by] = value
			}
		}
	}
	return out, nil
}
