// Command attacker acts as one of the visitors of package attack, in a container on the copy's network. The copy trusts the
// container's address as a proxy's, so each visitor can have a separate address.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"oneserver/ctl/internal/abuse/attack"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	var target attack.Target
	flag.StringVar(&target.Web, "web", "", "host:port of web")
	flag.StringVar(&target.DNS, "dns", "", "host:port of dns")
	flag.StringVar(&target.Host, "host", "", "the site's name")
	flag.StringVar(&target.From, "from", "", "the visitor's address")
	flag.StringVar(&target.Victim, "victim", "", "the address of the visitor who is there meanwhile")
	flag.IntVar(&target.Posts, "posts", 1, "how many posts there are")
	length := flag.Duration("for", 0, "how long")
	rate := flag.Float64("rate", 0, "requests a second of the visitors who may")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *length)
	defer cancel()
	time.AfterFunc(*length+30*time.Second, func() { log.Fatal("it does not end") })

	result, err := play(ctx, flag.Arg(0), target, *rate)
	if err != nil {
		return err
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return fmt.Errorf("getrusage: %w", err)
	}
	result.CPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return json.NewEncoder(os.Stdout).Encode(result)
}

func play(ctx context.Context, who string, target attack.Target, rate float64) (attack.Result, error) {
	switch who {
	case "visitor":
		return attack.Visit(ctx, target), nil
	case "allowed":
		return attack.Allowed(ctx, target, rate), nil
	}
	for _, abuse := range attack.All {
		if abuse.Name == who {
			return abuse.Play(ctx, target), nil
		}
	}
	return attack.Result{}, errors.New("there is no such visitor: " + who)
}
