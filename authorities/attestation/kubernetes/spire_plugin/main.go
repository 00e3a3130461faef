// A WorkloadAttestor of SPIRE's agent that asks our verifier which party a process is: the selector `zt:party:NAME`.
//
// It decides nothing.  The agent names a process by its id, which another process can have a moment later.  So a pidfd
// is opened at once and handed to the verifier, and the agent itself refuses a caller whose process has ended by then.
// If the verifier says nothing, not all of it, or nothing in time, there is no selector, and so no identity.
//
// `zt install FOLDER FILE...` copies this program to a folder: its image holds nothing else.  Beside it, it writes the
// certificates of those files that there are, by which the agent verifies the kubelet.
package main

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/hashicorp/hcl"
	"github.com/spiffe/spire-plugin-sdk/pluginmain"
	workloadattestor "github.com/spiffe/spire-plugin-sdk/proto/spire/plugin/agent/workloadattestor/v1"
	config "github.com/spiffe/spire-plugin-sdk/proto/spire/service/common/config/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// A party gives up sooner, and asks again; the verifier meanwhile finishes, and then answers at once.
	longest = 10 * time.Second
	// Bytes of an answer: a party's name has 60 at most.
	most = 256
)

var answers = regexp.MustCompile(`\Aparty:[a-z0-9/-]+\n\z`)

type plugin struct {
	workloadattestor.UnimplementedWorkloadAttestorServer
	config.UnimplementedConfigServer

	mutex  sync.RWMutex
	socket string
}

// Configure takes the path of the verifier's socket from plugin_data.
func (p *plugin) Configure(_ context.Context, request *config.ConfigureRequest) (*config.ConfigureResponse, error) {
	var found struct {
		Socket string `hcl:"socket"`
	}
	if err := hcl.Decode(&found, request.HclConfiguration); err != nil || found.Socket == "" {
		return nil, status.Errorf(codes.InvalidArgument, "plugin_data needs socket = PATH (%v)", err)
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.socket = found.Socket
	return &config.ConfigureResponse{}, nil
}

// Attest returns the party's selector, or none with an error that the agent logs.
func (p *plugin) Attest(ctx context.Context, request *workloadattestor.AttestRequest) (*workloadattestor.AttestResponse, error) {
	process, err := unix.PidfdOpen(int(request.Pid), 0)
	if err != nil {
		return nil, status.Errorf(codes.NotFound, "process %d: %v", request.Pid, err)
	}
	defer unix.Close(process)
	p.mutex.RLock()
	socket := p.socket
	p.mutex.RUnlock()
	answer, err := ask(ctx, socket, process)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "the verifier at %s: %v", socket, err)
	}
	if answer == "" { // the verifier logs why
		return &workloadattestor.AttestResponse{}, nil
	}
	return &workloadattestor.AttestResponse{SelectorValues: []string{answer}}, nil
}

// ask hands the pidfd over and returns the answer, such as "party:agent/reader"; "" if the process is no party.
func ask(ctx context.Context, socket string, process int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	connection, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	end, _ := ctx.Deadline()
	if err := connection.SetDeadline(end); err != nil {
		return "", err
	}
	if _, _, err := connection.(*net.UnixConn).WriteMsgUnix([]byte{0}, unix.UnixRights(process), nil); err != nil {
		return "", err
	}
	said, err := bufio.NewReader(io.LimitReader(connection, most)).ReadString('\n')
	switch {
	case errors.Is(err, io.EOF) && said == "":
		return "", nil
	case err != nil:
		return "", err
	case !answers.MatchString(said):
		return "", errors.New("not an answer")
	}
	return said[:len(said)-1], nil
}

// install writes this program to a folder, and the certificates of all files into kubelet.pem: certificates alone, because
// a file can have a key as well.
func install(folder string, files ...string) error {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	var certificates []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" {
				certificates = append(certificates, pem.EncodeToMemory(block)...)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "kubelet.pem"), certificates, 0o644); err != nil {
		return err
	}
	file := filepath.Join(folder, "zt")
	if err := os.WriteFile(file+".new", self, 0o755); err != nil {
		return err
	}
	return os.Rename(file+".new", file) // one that runs cannot be written to
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "install" {
		if err := install(os.Args[2], os.Args[3:]...); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	attestor := new(plugin)
	pluginmain.Serve(workloadattestor.WorkloadAttestorPluginServer(attestor), config.ConfigServiceServer(attestor))
}
