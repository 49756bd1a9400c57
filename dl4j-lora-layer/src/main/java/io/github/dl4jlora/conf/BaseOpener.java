package io.github.dl4jlora.conf;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;

/**
 * Opens base networks at locations that the JDK cannot open by itself, such as {@code hdfs:} or {@code s3a:}.
 * Implementations are found by {@link java.util.ServiceLoader}: name the class in a file
 * {@code META-INF/services/io.github.dl4jlora.conf.BaseOpener}. Openers are not asked for locations with the scheme
 * {@code file}.
 *
 * <p>Credentials belong here, not in locations, which are written into every checkpoint. So do time limits: a thread that needs
 * the base waits as long as the stream makes it wait; other threads do not wait. At most 16 GiB are read, or as many bytes as
 * the system property {@code dl4jlora.base.limit} says.
 *
 * <pre>{@code
 * class VaultOpener implements BaseOpener {
 *     public boolean opens(URI location) {
 *         return "vault".equals(location.getScheme());
 *     }
 *
 *     public InputStream open(URI location) throws IOException {
 *         return Files.newInputStream(Path.of("/vault", location.getPath()));
 *     }
 * }
 * }</pre>
 */
public interface BaseOpener {

    /**
     * {@return whether {@link #open open} is to be tried on this location, usually by its scheme; called before the JDK's own
     * handlers}
     *
     * @param location of a base, absolute
     */
    boolean opens(URI location);

    /**
     * Opens a base for reading.
     *
     * @param location of a base, absolute
     * @return the file that DL4J's ModelSerializer wrote, from its first byte; closed by the caller
     * @throws IOException if there is no such base, or it cannot be read
     */
    InputStream open(URI location) throws IOException;
}
