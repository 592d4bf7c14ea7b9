// A page that greets in the visitor's language. What it depends on is in vendor/.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"example.com/greetings"
)

func greet(answer http.ResponseWriter, request *http.Request) {
	fmt.Fprintf(answer, "%s from Go\n", greetings.In(request.Header.Get("Accept-Language")))
}

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "5000"
	}
	http.HandleFunc("/", greet)
	log.Fatal(http.ListenAndServe(":"+port, nil))
}
