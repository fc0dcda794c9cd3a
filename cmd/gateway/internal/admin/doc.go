// Package admin has the subcommands with which the administrator of a gateway works
// on its state directory: who has a token, and who did what.
//
// It refuses to know how a gateway is built, configured and run: main says where its
// state directory is.
package admin
