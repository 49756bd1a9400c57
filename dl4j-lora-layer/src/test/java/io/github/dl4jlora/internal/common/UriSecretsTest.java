package io.github.dl4jlora.internal.common;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** What of a URI may be shown to others. */
class UriSecretsTest {

    @ParameterizedTest
    @CsvSource({
        "https://jane:secret@host/base.zip, https://…@host/base.zip, https://host/base.zip",
        "HTTPS://ghp_token@host:443/base.zip, HTTPS://…@host:443/base.zip, HTTPS://host:443/base.zip",
        "s3a://KEY:SE%40CRET@bucket/base.zip, s3a://…@bucket/base.zip, s3a://bucket/base.zip",
        "https://host/base.zip?X-Amz-Signature=abc%2Fdef, https://host/base.zip?…, https://host/base.zip",
        "https://jane:secret@host/base.zip?sig=1#part, https://…@host/base.zip?…#part, https://host/base.zip#part",
        "jar:https://jane:secret@host/all.jar!/base.zip?token=t, jar:https://…@host/all.jar!/base.zip?…, "
                + "jar:https://host/all.jar!/base.zip"})
    void userInfoAndQueriesAreLeftOut(URI uri, String shown, URI without) {
        assertThat(UriSecrets.mayBeIn(uri)).isTrue();
        assertThat(UriSecrets.shown(uri)).isEqualTo(shown);
        assertThat(UriSecrets.without(uri)).isEqualTo(without);
    }

    @ParameterizedTest
    @ValueSource(strings = {"file:///models/base.zip", "file:////server/jane@home/base.zip",
        "https://host/a//jane:x@home/base.zip",
        "abfss://container@account.dfs.core.windows.net/base.zip", "hdfs://namenode:8020/base.zip", "memory:base",
        "https://host/base.zip#main"})
    void othersAreShownAsTheyAre(URI uri) {
        assertThat(UriSecrets.mayBeIn(uri)).isFalse();
        assertThat(UriSecrets.shown(uri)).isEqualTo(uri.toString());
        assertThat(UriSecrets.without(uri)).isEqualTo(uri);
    }

    @Test
    void exceptionsThatQuoteTheUriLoseItsSecretsAndTheirCausesWithThem() {
        URI uri = URI.create("https://jane:hunter22@host/base.zip?version=3&token=a%2Fb%2Fc");

        for (String quoted : new String[] {uri.toString(), "hunter22", "no a/b/c here", "user jane:hunter22", "a%2Fb%2Fc"}) {
            for (Exception e : List.of(new FileNotFoundException(quoted), new IOException("why", new IOException(quoted)),
                    new IOException(null, new IOException(quoted)), suppressing(quoted),
                    new IllegalStateException(quoted))) {
                IOException redacted = UriSecrets.redacted(e, uri);

                assertThat(redacted).hasNoCause().hasNoSuppressedExceptions().hasStackTraceContaining("UriSecretsTest");
                assertThat(redacted.toString()).doesNotContain("hunter22", "a/b/c", "a%2Fb%2Fc");
            }
        }
        assertThat(UriSecrets.redacted(new IOException("version hunter22 of it"), uri)).hasMessage("version … of it");
    }

    @Test
    void exceptionsThatDoNotStayWhole() {
        URI uri = URI.create("https://jane:hunter22@host/base.zip?v=3");
        IOException e = new IOException("code 503", new IOException("no route to host"));

        assertThat(UriSecrets.redacted(e, uri)).isSameAs(e);
        assertThat(UriSecrets.redacted(new IllegalStateException("why"), uri)).hasMessageContaining("why")
                .hasCauseInstanceOf(IllegalStateException.class);
    }

    @Test
    void wordsOfFourLettersAreSecretsAndShorterOnesAreNone() {
        URI uri = URI.create("https://jane:abcd@host/base.zip?v=xyz");

        IOException redacted = UriSecrets.redacted(new IOException("abcd and xyz"), uri);

        assertThat(redacted).hasMessage("… and xyz");
        IOException e = new IOException("xyz");
        e.addSuppressed(new IOException("no route to host"));
        assertThat(UriSecrets.redacted(e, uri)).isSameAs(e);
        IOException thrown = elsewhere();
        assertThat(UriSecrets.redacted(thrown, uri).getStackTrace()).isEqualTo(thrown.getStackTrace());
    }

    private static IOException elsewhere() {
        return new IOException("abcd");
    }

    private static Exception suppressing(String quoted) {
        IOException e = new IOException("why");
        e.addSuppressed(new IOException(quoted));
        return e;
    }
}
