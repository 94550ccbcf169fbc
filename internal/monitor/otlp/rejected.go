package otlp

import (
	"bytes"
	"context"
	"io"
	"net/http"

	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sysgate/sysgate/internal/monitor"
)

// A collector can take a request and reject some of its records ("partial success"),
// or reject it whole; what is not to be sent again is said by the protocol
// (https://opentelemetry.io/docs/specs/otlp/#failures). The exporters do not say it in a
// form that a program can use, so that the answers are looked at here.

func (s *Sender) partial(p *collector.ExportLogsPartialSuccess) {
	if n := p.GetRejectedLogRecords(); n > 0 {
		s.rejected.Store(&monitor.RejectedError{Events: uint64(n), Reason: p.GetErrorMessage()})
	}
}

// intercept looks at the answers of gRPC.
func (s *Sender) intercept(ctx context.Context, method string, request, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	err := invoke(ctx, method, request, reply, cc, options...)
	if r, ok := reply.(*collector.ExportLogsServiceResponse); ok && err == nil {
		s.partial(r.GetPartialSuccess())
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.FailedPrecondition, codes.Unimplemented, codes.Internal, codes.Unauthenticated:
		s.whole(err.Error())
	}
	return err
}

// whole notes that nothing of a request was taken, and will not be.
func (s *Sender) whole(reason string) {
	s.rejected.Store(&monitor.RejectedError{Events: uint64(len(s.batch.records)), Reason: reason})
}

// maxAnswer is how much of an answer is read: it is a number and a message.
const maxAnswer = 64 << 10

// A transport looks at the answers of HTTP.
type transport struct {
	s     *Sender
	under *http.Transport
}

func (t transport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.under.RoundTrip(request)
	if err == nil && response.StatusCode/100 == 4 && response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusRequestTimeout {
		t.s.whole(response.Status)
	}
	if err != nil || response.StatusCode/100 != 2 || response.Header.Get("Content-Type") != "application/x-protobuf" {
		return response, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	response.Body.Close()
	if err != nil {
		return nil, err
	}
	var answer collector.ExportLogsServiceResponse
	if proto.Unmarshal(body, &answer) == nil {
		t.s.partial(answer.GetPartialSuccess())
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}
