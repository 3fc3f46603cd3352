// Sends the same upload again and again, and prints how often it ended how: {"401": 200}.
// java Client.java java|java-url BASE_URL KEY PURPOSE BYTES TRIES
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

public class Client {
    static final String TYPE = "multipart/form-data; boundary=b0123456789";
    static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    public static void main(String[] arguments) throws Exception {
        URI uri = URI.create(arguments[1] + "/files");
        byte[] body = form(arguments[3], Integer.parseInt(arguments[4]));
        Map<String, Integer> outcomes = new TreeMap<>();
        for (int n = Integer.parseInt(arguments[5]); n > 0; n--) {
            String outcome;
            try {
                String authorization = "Bearer " + arguments[2];
                boolean isNew = arguments[0].equals("java");
                outcome = isNew ? sendNew(uri, authorization, body) : sendOld(uri, authorization, body);
            } catch (IOException error) {
                outcome = error.getClass().getSimpleName();
            }
            outcomes.merge(outcome, 1, Integer::sum);
        }
        System.out.println(outcomes.entrySet().stream()
            .map(each -> "\"" + each.getKey() + "\": " + each.getValue())
            .collect(Collectors.joining(", ", "{", "}")));
    }

    static String sendNew(URI uri, String authorization, byte[] body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(uri)
            .header("Authorization", authorization)
            .header("Content-Type", TYPE)
            .POST(HttpRequest.BodyPublishers.ofByteArray(body))
            .build();
        return String.valueOf(CLIENT.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
    }

    static String sendOld(URI uri, String authorization, byte[] body) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection();
        connection.setRequestMethod("POST");
        connection.setDoOutput(true);
        connection.setFixedLengthStreamingMode(body.length);
        connection.setRequestProperty("Authorization", authorization);
        connection.setRequestProperty("Content-Type", TYPE);
        try (var out = connection.getOutputStream()) {
            out.write(body);
        }
        return String.valueOf(connection.getResponseCode());
    }

    static byte[] form(String purpose, int size) throws IOException {
        var out = new ByteArrayOutputStream(size + 1000);
        String part = "--b0123456789\r\nContent-Disposition: form-data; name=";
        out.write((part + "\"purpose\"\r\n\r\n" + purpose + "\r\n").getBytes());
        out.write((part + "\"file\"; filename=\"a.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n").getBytes());
        out.write(new byte[size]);
        out.write("\r\n--b0123456789--\r\n".getBytes());
        return out.toByteArray();
    }
}
