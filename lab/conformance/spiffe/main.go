// The official Go library of SPIFFE against the Workload API; prints what came of it as one JSON object.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func main() {
	id := spiffeid.RequireFromString(os.Args[2])
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	told := map[string]string{}
	note := func(name string, what func() (string, error)) {
		said, err := what()
		if err != nil {
			said = "error: " + err.Error()
		}
		told[name] = said
	}
	client, err := workloadapi.New(ctx, workloadapi.WithAddr("unix://"+os.Args[1]))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	defer client.Close()

	note("X.509-SVID", func() (string, error) {
		svid, err := client.FetchX509SVID(ctx)
		if err != nil {
			return "", err
		}
		bundles, err := client.FetchX509Bundles(ctx)
		if err != nil {
			return "", err
		}
		verified, _, err := x509svid.Verify(svid.Certificates, bundles)
		return verified.String(), err
	})
	note("X.509 context", func() (string, error) {
		found, err := client.FetchX509Context(ctx)
		if err != nil {
			return "", err
		}
		return found.DefaultSVID().ID.String(), nil
	})
	var token string
	note("JWT-SVID", func() (string, error) {
		svid, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: "a", ExtraAudiences: []string{"b"}, Subject: id})
		if err != nil {
			return "", err
		}
		token = svid.Marshal()
		return fmt.Sprint(svid.ID, svid.Audience), nil
	})
	note("JWT bundles", func() (string, error) {
		bundles, err := client.FetchJWTBundles(ctx)
		if err != nil {
			return "", err
		}
		svid, err := jwtsvid.ParseAndValidate(token, bundles, []string{"a"})
		if err != nil {
			return "", err
		}
		return svid.ID.String(), nil
	})
	note("validated by the API", func() (string, error) {
		svid, err := client.ValidateJWTSVID(ctx, token, "a")
		if err != nil {
			return "", err
		}
		return svid.ID.String(), nil
	})
	note("another audience", func() (string, error) {
		_, err := client.ValidateJWTSVID(ctx, token, "c")
		return "validated", err
	})
	note("a signature changed", func() (string, error) {
		if len(token) < 8 {
			return "no token", nil
		}
		_, err := client.ValidateJWTSVID(ctx, token[:len(token)-8]+"AAAAAAAA", "a")
		return "validated", err
	})
	note("the SVID of another", func() (string, error) {
		other := spiffeid.RequireFromPath(id.TrustDomain(), "/agent/another")
		_, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: "a", Subject: other})
		return "issued", err
	})
	note("X.509 source", func() (string, error) {
		source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClient(client))
		if err != nil {
			return "", err
		}
		defer source.Close()
		svid, err := source.GetX509SVID()
		if err != nil {
			return "", err
		}
		return svid.ID.String(), nil
	})
	note("JWT source", func() (string, error) {
		source, err := workloadapi.NewJWTSource(ctx, workloadapi.WithClient(client))
		if err != nil {
			return "", err
		}
		defer source.Close()
		svid, err := source.FetchJWTSVID(ctx, jwtsvid.Params{Audience: "a"})
		if err != nil {
			return "", err
		}
		return svid.ID.String(), nil
	})
	_ = json.NewEncoder(os.Stdout).Encode(told)
}
