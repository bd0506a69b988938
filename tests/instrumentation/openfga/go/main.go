// SPDX-FileCopyrightText: The Runrecord authors
// SPDX-License-Identifier: Apache-2.0

// An OpenFGA server for the tests: its HTTP API and an in-memory store. It prints its address and serves until it is stopped.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"github.com/openfga/openfga/pkg/gateway"
	"github.com/openfga/openfga/pkg/logger"
	httpmiddleware "github.com/openfga/openfga/pkg/middleware/http"
	"github.com/openfga/openfga/pkg/server"
	servererrors "github.com/openfga/openfga/pkg/server/errors"
	"github.com/openfga/openfga/pkg/storage/memory"
	"google.golang.org/grpc/status"
)

func main() {
	fga := server.MustNewServerWithOpts(
		server.WithDatastore(memory.New()),
		server.WithTransport(gateway.NewRPCTransport(logger.NewNoopLogger())), // or every answer has the status 200
	)
	defer fga.Close()
	mux := runtime.NewServeMux(
		runtime.WithForwardResponseOption(httpmiddleware.HTTPResponseModifier),
		runtime.WithErrorHandler(failed),
	)
	check(openfgav1.RegisterOpenFGAServiceHandlerServer(context.Background(), mux, fga))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Printf("http://%s\n", listener.Addr())
	check(http.Serve(listener, mux))
}

func failed(
	ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error,
) {
	code := servererrors.ConvertToEncodedErrorCode(status.Convert(err))
	httpmiddleware.CustomHTTPErrorHandler(ctx, w, r, servererrors.NewEncodedError(code, err.Error()))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
