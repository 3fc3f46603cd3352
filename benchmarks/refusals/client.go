// Sends the same upload again and again, and prints how often it ended how: {"401": 200}.
// go run client.go go BASE_URL KEY PURPOSE BYTES TRIES
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strconv"
)

func form(purpose string, size int) ([]byte, string) {
	var body bytes.Buffer
	writer := multipart.NewWriter(&body)
	writer.WriteField("purpose", purpose)
	part, _ := writer.CreateFormFile("file", "a.bin")
	part.Write(make([]byte, size))
	writer.Close()
	return body.Bytes(), writer.FormDataContentType()
}

func try(url, key, contentType string, body []byte) string {
	request, _ := http.NewRequest("POST", url+"/files", bytes.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", contentType)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	if _, err := io.ReadAll(answer.Body); err != nil {
		return err.Error()
	}
	return strconv.Itoa(answer.StatusCode)
}

func main() {
	url, key, purpose := os.Args[2], os.Args[3], os.Args[4]
	size, _ := strconv.Atoi(os.Args[5])
	tries, _ := strconv.Atoi(os.Args[6])
	body, contentType := form(purpose, size)
	outcomes := map[string]int{}
	for n := 0; n < tries; n++ {
		outcomes[try(url, key, contentType, body)]++
	}
	printed, _ := json.Marshal(outcomes)
	fmt.Println(string(printed))
}
