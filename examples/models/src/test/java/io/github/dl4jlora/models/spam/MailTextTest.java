package io.github.dl4jlora.models.spam;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import static org.assertj.core.api.Assertions.assertThat;

@Tag("minilm")
class MailTextTest {

    @Test
    void ofTheHeadersOnlyTheSubjectIsLeft() {
        assertThat(MailText.of("From a@b Mon Jan 1\nX-Spam-Status: Yes\nSubject: Hello\n there\n"
                + "List-Id: linux\n\nBody\n\n second  line\n"))
                .isEqualTo("Hello there Body second line");
    }

    @Test
    void tagsOfListsAndTheCorpusOwnAddressesAreNotLeft() {
        assertThat(MailText.of("Subject: Re: [ILUG] question\n\n> To: zzzz-ilug@spamassassin.taint.org\nwhy?"))
                .isEqualTo("Re: question > To: why?");
    }

    @Test
    void encodedSubjectsAreRead() {
        assertThat(MailText.of("Subject: =?ISO-8859-1?Q?Gr=FC=DFe_aus?= =?utf-8?B?S8O2bG4=?=\n\n")).isEqualTo("Grüße ausKöln");
    }

    @Test
    void blanksBesideEncodedWordsAreRead() {
        assertThat(MailText.of("Subject: to =?utf-8?Q?K=C3=B6ln?= today =?utf-8?Q?=3D?= =?broken?=\n\n"))
                .isEqualTo("to Köln today = =?broken?=");
        assertThat(MailText.of("Subject: =?utf-8?Q?K?=\n =?utf-8?B?w7Y=?= \t=?utf-8?q?ln?=\n now\n\n")).isEqualTo("Köln now");
    }

    @Test
    void base64AndQuotedPrintableBodiesAreRead() {
        assertThat(MailText.of("Subject: a\nContent-Type: text/plain; charset=\"utf-8\"\n"
                + "Content-Transfer-Encoding: base64\n\nS8O2\nbG4=\n"))
                .isEqualTo("a Köln");
        assertThat(MailText.of("Subject: a\nContent-Type: text/plain; charset=iso-8859-1\n"
                + "Content-Transfer-Encoding: Quoted-Printable\n\ncaf=E9 100=25 lo=\nng =\r\nline =zz"))
                .isEqualTo("a café 100% long line =zz");
    }

    @Test
    void htmlIsReadAsText() {
        assertThat(MailText.of("Subject: a\nContent-Type: text/html\n\n<html><head><title>t</title></head><script>x()</script>"
                + "<!-- no --><b>Buy</b>&nbsp;now &amp;lt; 3 &lt; 4 &#8364;5")).isEqualTo("a Buy now &lt; 3 < 4 €5");
    }

    @Test
    void ofSeveralPartsTheLongestTextIsRead() {
        String mail = """
                Subject: parts
                Content-Type: multipart/mixed; boundary="outer"

                preamble
                --outer
                Content-Type: multipart/alternative; boundary=inner

                --inner
                Content-Type: text/plain

                short
                --inner
                Content-Type: text/html

                <p>a longer text</p>
                --inner--
                --outer
                Content-Type: image/gif
                Content-Transfer-Encoding: base64

                AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
                --outer--
                """;
        assertThat(MailText.of(mail)).isEqualTo("parts a longer text");
        assertThat(MailText.of(mail.replace("\n", "\r\n"))).isEqualTo("parts a longer text");
    }

    @Test
    void brokenMailsAreReadAsFarAsTheyGo() {
        assertThat(MailText.of("")).isEmpty();
        assertThat(MailText.of("no header at all")).isEmpty();
        assertThat(MailText.of("Subject: only")).isEqualTo("only");
        assertThat(MailText.of("Subject: a\nContent-Transfer-Encoding: base64\n\nS8O2bG4hX")).isEqualTo("a KÃ¶ln!");
        assertThat(MailText.of("Subject: a\nContent-Type: text/plain; charset=nonsense!!\n\nb")).isEqualTo("a b");
        assertThat(MailText.of("Subject: a\nContent-Type: multipart/mixed\n\nb")).isEqualTo("a");
    }
}
