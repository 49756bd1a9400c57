package io.github.dl4jlora.serve.trial;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeSet;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Adapters as they are sent, intact and damaged. */
public final class Uploads {

    public static final String CONFIG = "adapter_config.json";
    public static final String TENSORS = "adapter_model.safetensors";
    public static final String ZIP = "application/zip";
    /** The content type of {@link #form}. */
    public static final String FORM = "multipart/form-data; boundary=x";

    private Uploads() {
    }

    /** An adapter's two files by their names. */
    public static Map<String, byte[]> files(Path adapter) throws IOException {
        return Map.of(CONFIG, Files.readAllBytes(adapter.resolve(CONFIG)), TENSORS, Files.readAllBytes(adapter.resolve(TENSORS)));
    }

    public static byte[] zip(Map<String, byte[]> files) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
            for (Map.Entry<String, byte[]> file : files.entrySet()) {
                zip.putNextEntry(new ZipEntry(file.getKey()));
                zip.write(file.getValue());
                zip.closeEntry();
            }
        }
        return bytes.toByteArray();
    }

    /** With the boundary x. */
    public static byte[] form(Map<String, byte[]> files) {
        ByteArrayOutputStream form = new ByteArrayOutputStream();
        for (String name : new TreeSet<>(files.keySet())) {
            form.writeBytes(("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + name + "\"\r\n\r\n")
                    .getBytes(StandardCharsets.UTF_8));
            form.writeBytes(files.get(name));
            form.writeBytes("\r\n".getBytes(StandardCharsets.UTF_8));
        }
        form.writeBytes("--x--\r\n".getBytes(StandardCharsets.UTF_8));
        return form.toByteArray();
    }

    /** 64 MiB of zeros in a few kilobytes. */
    public static byte[] bomb() throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
            zip.putNextEntry(new ZipEntry(TENSORS));
            for (int i = 0; i < 64; i++) {
                zip.write(new byte[1 << 20]);
            }
        }
        return bytes.toByteArray();
    }

    /** A safetensors file that claims a header of {@code length} bytes, and has none. */
    public static byte[] header(long length) {
        return ByteBuffer.allocate(64).order(ByteOrder.LITTLE_ENDIAN).putLong(length).array();
    }

    /** With NaN in place of the last number. */
    public static byte[] withNaN(byte[] tensors) {
        ByteBuffer bytes = ByteBuffer.wrap(tensors.clone()).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putFloat(bytes.limit() - 4, Float.NaN);
        return bytes.array();
    }
}
