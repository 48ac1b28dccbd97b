package doctor

import (
	"strings"
	"testing"
)

func TestWhatIsInTheVolumesDecides(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		printed      string // the output of the script that looks into the volumes
		level        Level
		says, remedy string
	}{
		{"nothing", "", OK, "is empty", ""},
		{"secrets and no data yet", "secrets 123\n", OK, "is empty", ""},
		{"a first start that was cut off", "begun yes\nsecrets 123\n", Error, "never fully initialised", "make reset"},
		{"data without secrets", "begun yes\ndata 123\n", Error, "passwords that are not here", "restore"},
		{"data of other secrets", "begun yes\ndata 123\nsecrets 456\n", Error, "belongs to other secrets", "restore"},
		{"data with its secrets", "begun yes\ndata 123\nsecrets 123\n", OK, "complete", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := parseVolumes(test.printed).judge("oneserver_data", "oneserver_secrets")
			if got.Level != test.level || !strings.Contains(got.Says, test.says) || !strings.Contains(got.Do, test.remedy) {
				t.Errorf("found %+v, want a %s that says %q and %q", got, test.level, test.says, test.remedy)
			}
		})
	}
}
