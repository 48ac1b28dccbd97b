package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"oneserver/ctl/internal/docker"
)

// readVolumes is a script that prints what a container sees in the two volumes: whether MySQL has begun to fill the data
// volume, and the id in each. The last step of MySQL's initialisation copies the id of the secrets into the data volume; if
// the ids are equal, the data was made with these secrets.
const readVolumes = `
if [ -n "$(ls -A /data)" ]; then echo "begun yes"; fi
if [ -f /data/stack_id ]; then echo "data $(cat /data/stack_id)"; fi
if [ -f /secrets/stack_id ]; then echo "secrets $(cat /secrets/stack_id)"; fi
`

// volumes holds what readVolumes found.
type volumes struct {
	begun             bool   // whether the data volume holds anything
	dataID, secretsID string // stack_id in each, empty if it is missing
}

func checkData(ctx context.Context, f *facts) ([]Finding, error) {
	if _, err := f.engine(); err != nil {
		return nil, err
	}
	project, err := f.project()
	if err != nil {
		return nil, err
	}
	containers, err := f.containers()
	if err != nil {
		return nil, err
	}
	var ailing string // why db is not healthy, if it has been started on the volume
	for _, container := range containers {
		if container.Project() != project.Name || container.Service() != "db" {
			continue
		}
		if container.Failure() == "" {
			return []Finding{{OK, "data", "db is running on it", ""}}, nil
		}
		ailing = lastHealth(container)
	}
	data, secrets := project.Volumes["data"].Name, project.Volumes["secrets"].Name
	out, err := f.stack.Output(ctx, "volume", "ls", "--quiet")
	if err != nil {
		return nil, err
	}
	there := strings.Fields(out)
	if !slices.Contains(there, data) {
		return []Finding{{OK, "data", "none yet: the first start makes the volume " + data, ""}}, nil
	}

	// Any image with a shell will do. The image of web is the first choice, since it declares no volume.
	here, err := f.images()
	if err != nil {
		return nil, err
	}
	reader := project.Services["web"].Image
	if _, is := here[reader]; !is {
		reader = project.Services["db"].Image
	}
	if _, is := here[reader]; !is {
		return []Finding{{Note, "data", "the volume " + data + " is not checked: no image is here to read it with", ""}}, nil
	}
	mounted := secrets
	if !slices.Contains(there, secrets) {
		mounted = ""
	}
	out, err = f.stack.LookInto(ctx, reader, data, mounted, readVolumes)
	if err != nil {
		return nil, err
	}
	found := parseVolumes(out).judge(data, secrets)
	if found.Level == OK && ailing != "" {
		found = Finding{Warning, "data", "db is not well: " + ailing, "docker compose logs db shows more"}
	}
	unclaimed, err := f.stack.Unclaimed(ctx)
	if err == nil && unclaimed && found.Level == OK && ailing == "" {
		found = Finding{Warning, "data", "the volume " + data + " is there, and no clone has noted that it is its own: this one takes it over",
			"nothing, where this clone has made it with docker compose alone; else work in the clone that has, or write COMPOSE_PROJECT_NAME and ports of its own into .env"}
	}
	return []Finding{found}, err
}

// lastHealth returns the last output of a container's health check. A container that ends before its first check has none.
func lastHealth(c docker.Container) string {
	return cmp.Or(oneLine(c.HealthCheckSaid()), "it ends again and again, before its first health check")
}

func parseVolumes(out string) volumes {
	var v volumes
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "begun":
			v.begun = true
		case "data":
			v.dataID = value
		case "secrets":
			v.secretsID = value
		}
	}
	return v
}

func (v volumes) judge(data, secrets string) Finding {
	const kept = "without one, docs/backups.md says how a backup comes back on another machine; nothing here opens this volume any more"
	switch {
	case !v.begun:
		return Finding{OK, "data", "the volume " + data + " is empty: the first start fills it", ""}
	case v.dataID == "":
		return Finding{Error, "data", "the volume " + data + " was never fully initialised: its first start was cut off half way",
			"make reset removes it, and make up begins anew; there is nothing of yours in it"}
	case v.secretsID == "":
		return Finding{Error, "data", fmt.Sprintf("the volume %s was made with passwords that are not here: the volume %s is missing or empty", data, secrets),
			"restore " + secrets + " from its backup; " + kept}
	case v.dataID != v.secretsID:
		return Finding{Error, "data", fmt.Sprintf("the volume %s belongs to other secrets than those in %s: no account could log in", data, secrets),
			"restore the two volumes from the same backup; " + kept}
	}
	return Finding{OK, "data", "complete, and made with the secrets at hand", ""}
}
