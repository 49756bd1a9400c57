package io.github.dl4jlora.serve;

import org.eclipse.jetty.http.BadMessageException;
import org.eclipse.jetty.server.MultiPartParser;
import org.eclipse.jetty.util.QuotedStringTokenizer;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads the parts of a form, {@code multipart/form-data}, one after the other: none is held in memory, and there are only a few.
 */
final class UploadedForm implements MultiPartParser.Handler {

    /** An adapter has two files, and a client may send a field or two of its own. */
    static final int MOST_PARTS = 16;

    private static final Pattern BOUNDARY = Pattern.compile("(?i);\\s*boundary=(?:\"([^\"]{1,200})\"|([^\\s\";]{1,200}))");
    private static final int CHUNK = 1 << 16;

    private final Files files;
    private int parts;
    private boolean isWhole;
    private String disposition;
    private boolean isFile;

    /** Receives the files, one after the other. */
    interface Files {

        /** The next file begins. */
        void begin(String name) throws IOException;

        /** Some more bytes of it. */
        void add(byte[] bytes, int from, int length) throws IOException;
    }

    private UploadedForm(Files files) {
        this.files = files;
    }

    /**
     * Reads a form. Fields that are not files are skipped.
     *
     * @param contentType with the boundary
     * @throws Problem if it is not a form, or has too many parts
     */
    static void read(InputStream body, String contentType, Files files) throws IOException {
        Matcher boundary = BOUNDARY.matcher(contentType);
        if (!boundary.find()) {
            throw damaged("its Content-Type names no boundary");
        }
        UploadedForm form = new UploadedForm(files);
        MultiPartParser parser = new MultiPartParser(form, boundary.group(1) == null ? boundary.group(2) : boundary.group(1));
        byte[] chunk = new byte[CHUNK];
        try {
            for (int n = body.read(chunk); n >= 0; n = body.read(chunk)) {
                ByteBuffer bytes = ByteBuffer.wrap(chunk, 0, n);
                while (bytes.hasRemaining()) {
                    parser.parse(bytes, false);
                }
            }
            parser.parse(ByteBuffer.allocate(0), true);
        } catch (BadMessageException e) {
            throw damaged(e.getReason());
        } catch (IllegalStateException e) {
            // From Jetty's parser, for a line that is too long.
            throw damaged(e.getMessage());
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
        if (!form.isWhole || form.parts == 0) {
            throw damaged(form.parts == 0 ? "it has no part" : "it ends before its last boundary");
        }
    }

    private static Problem damaged(String reason) {
        return Problem.badRequest("The form is damaged: " + reason);
    }

    @Override
    public void startPart() {
        disposition = null;
        if (++parts > MOST_PARTS) {
            throw Problem.badRequest("The form has more than " + MOST_PARTS + " parts, but an adapter has two: "
                    + String.join(" and ", AdapterUpload.FILES));
        }
    }

    @Override
    public void parsedField(String name, String value) {
        if (name.equalsIgnoreCase("Content-Disposition")) {
            disposition = value;
        }
    }

    @Override
    public boolean headerComplete() {
        if (disposition == null) {
            throw damaged("its part " + parts + " has no Content-Disposition");
        }
        Optional<String> name = fileName(disposition);
        isFile = name.isPresent();
        name.ifPresent(file -> {
            try {
                files.begin(file);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        return false;
    }

    private static Optional<String> fileName(String disposition) {
        QuotedStringTokenizer words = new QuotedStringTokenizer(disposition, ";", false, true);
        while (words.hasMoreTokens()) {
            String word = words.nextToken().strip();
            if (word.regionMatches(true, 0, "filename=", 0, "filename=".length())) {
                return Optional.of(QuotedStringTokenizer.unquoteOnly(word.substring("filename=".length()).strip()));
            }
        }
        return Optional.empty();
    }

    @Override
    public boolean content(ByteBuffer item, boolean last) {
        if (isFile && item.hasRemaining()) {
            try {
                files.add(item.array(), item.arrayOffset() + item.position(), item.remaining());
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return false;
    }

    @Override
    public boolean messageComplete() {
        isWhole = true;
        return true;
    }
}
