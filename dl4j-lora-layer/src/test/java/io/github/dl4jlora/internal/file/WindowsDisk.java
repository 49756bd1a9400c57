package io.github.dl4jlora.internal.file;

import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;

import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.net.URI;
import java.nio.channels.Channel;
import java.nio.channels.FileChannel;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.AccessMode;
import java.nio.file.CopyOption;
import java.nio.file.DirectoryStream;
import java.nio.file.FileStore;
import java.nio.file.FileSystem;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.nio.file.WatchService;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.FileAttributeView;
import java.nio.file.attribute.UserPrincipalLookupService;
import java.nio.file.spi.FileSystemProvider;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.Map;
import java.util.Set;
import java.util.stream.StreamSupport;

/**
 * A disk in memory that refuses what Windows refuses. Names are found in any case, there are no POSIX attributes, and files have
 * no keys. A file that is open or mapped is not replaced, nor a folder moved in which a file is open. An open file that is
 * deleted keeps its name until it is closed: nobody can open it, and asking for its attributes is denied. Folders cannot be
 * opened. Not imitated: locks that hinder others in reading, and the names of devices.
 */
final class WindowsDisk implements AutoCloseable {

    private final FileSystem memory = Jimfs.newFileSystem(Configuration.windows());
    private final FileSystemProvider below = memory.provider();
    private final FileSystem system = new WindowsSystem();
    private final FileSystemProvider provider = new Provider();
    private final Map<Channel, Path> opened = new HashMap<>();
    private final Set<Path> mapped = new HashSet<>();
    private final Set<Path> beingDeleted = new HashSet<>();
    private final Map<Path, Integer> scanned = new HashMap<>();

    Path folder(String name) throws IOException {
        return Files.createDirectories(system.getPath("C:\\work").resolve(name));
    }

    /** From now on the file is mapped. */
    void map(Path file) {
        mapped.add(key(file));
    }

    /** So many times the file, or the folder, cannot be moved, since a virus scanner has opened it. */
    void scan(Path path, int times) {
        scanned.put(key(path), times);
    }

    @Override
    public void close() throws IOException {
        memory.close();
    }

    private Path shown(Path inMemory) {
        return (Path) Proxy.newProxyInstance(Path.class.getClassLoader(), new Class<?>[] {Path.class},
                (proxy, method, arguments) -> call(inMemory, method, arguments));
    }

    private Object call(Path inMemory, Method method, Object[] arguments) throws Throwable {
        if (method.getName().equals("getFileSystem")) {
            return system;
        }
        Object[] below = arguments == null ? new Object[0] : arguments.clone();
        for (int i = 0; i < below.length; i++) {
            below[i] = below[i] instanceof Path path ? below(path) : below[i];
        }
        try {
            Object result = method.invoke(inMemory, below);
            return result instanceof Path path ? shown(path) : result;
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    /** The path in memory; one that is already there stays. */
    private Path below(Path path) {
        return path.getFileSystem() == system ? memory.getPath(path.toString()) : path;
    }

    private Path key(Path path) {
        return below(path).toAbsolutePath().normalize();
    }

    private boolean isOpen(Path key) {
        return opened.entrySet().stream().anyMatch(one -> one.getKey().isOpen() && one.getValue().equals(key));
    }

    private Path checked(Path path) throws IOException {
        for (Iterator<Path> files = beingDeleted.iterator(); files.hasNext();) {
            Path file = files.next();
            if (!isOpen(file)) {
                below.delete(file);
                files.remove();
            }
        }
        if (beingDeleted.contains(key(path))) {
            throw new AccessDeniedException(path.toString());
        }
        return below(path);
    }

    private <C extends Channel> C opened(Path path, C channel) {
        opened.put(channel, key(path));
        return channel;
    }

    private Path openable(Path path) throws IOException {
        Path file = checked(path);
        if (Files.isDirectory(file)) {
            throw new AccessDeniedException(path.toString());
        }
        return file;
    }

    private void delete(Path path) throws IOException {
        Path file = checked(path);
        if (mapped.contains(key(path))) {
            throw new AccessDeniedException(path.toString());
        }
        if (isOpen(key(path))) {
            beingDeleted.add(key(path));
        } else {
            below.delete(file);
        }
    }

    private void move(Path from, Path to, CopyOption... options) throws IOException {
        Path source = checked(from);
        Path target = checked(to);
        if (scanned.merge(key(from), -1, Integer::sum) >= 0) {
            throw new FileSystemException(from.toString(), to.toString(),
                    "The process cannot access the file because it is being used by another process");
        }
        boolean holdsOpen = opened.entrySet().stream().anyMatch(one -> one.getKey().isOpen()
                && one.getValue().startsWith(key(from)) && !one.getValue().equals(key(from)));
        if (holdsOpen || Files.exists(target) && (isOpen(key(to)) || mapped.contains(key(to)))) {
            throw new AccessDeniedException(from.toString(), to.toString(), null);
        }
        below.move(source, target, options);
    }

    /** What paths show of the disk. */
    private final class WindowsSystem extends FileSystem {

        @Override
        public FileSystemProvider provider() {
            return provider;
        }

        @Override
        public void close() throws IOException {
            memory.close();
        }

        @Override
        public boolean isOpen() {
            return memory.isOpen();
        }

        @Override
        public boolean isReadOnly() {
            return false;
        }

        @Override
        public String getSeparator() {
            return memory.getSeparator();
        }

        @Override
        public Iterable<Path> getRootDirectories() {
            return StreamSupport.stream(memory.getRootDirectories().spliterator(), false).map(WindowsDisk.this::shown).toList();
        }

        @Override
        public Iterable<FileStore> getFileStores() {
            return memory.getFileStores();
        }

        @Override
        public Set<String> supportedFileAttributeViews() {
            return memory.supportedFileAttributeViews();
        }

        @Override
        public Path getPath(String first, String... more) {
            return shown(memory.getPath(first, more));
        }

        @Override
        public PathMatcher getPathMatcher(String pattern) {
            throw new UnsupportedOperationException();
        }

        @Override
        public UserPrincipalLookupService getUserPrincipalLookupService() {
            throw new UnsupportedOperationException();
        }

        @Override
        public WatchService newWatchService() {
            throw new UnsupportedOperationException();
        }
    }

    /** Answers for paths of the disk. */
    private final class Provider extends FileSystemProvider {

        @Override
        public String getScheme() {
            return "windows";
        }

        @Override
        public FileSystem newFileSystem(URI uri, Map<String, ?> environment) {
            throw new UnsupportedOperationException();
        }

        @Override
        public FileSystem getFileSystem(URI uri) {
            return system;
        }

        @Override
        public Path getPath(URI uri) {
            throw new UnsupportedOperationException();
        }

        @Override
        public SeekableByteChannel newByteChannel(Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes)
                throws IOException {
            return opened(path, below.newByteChannel(openable(path), options, attributes));
        }

        @Override
        public FileChannel newFileChannel(Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes)
                throws IOException {
            return opened(path, below.newFileChannel(openable(path), options, attributes));
        }

        @Override
        public DirectoryStream<Path> newDirectoryStream(Path folder, DirectoryStream.Filter<? super Path> filter)
                throws IOException {
            DirectoryStream<Path> entries = below.newDirectoryStream(checked(folder), entry -> filter.accept(shown(entry)));
            return new DirectoryStream<>() {
                @Override
                public Iterator<Path> iterator() {
                    return StreamSupport.stream(entries.spliterator(), false).map(WindowsDisk.this::shown).iterator();
                }

                @Override
                public void close() throws IOException {
                    entries.close();
                }
            };
        }

        @Override
        public void createDirectory(Path folder, FileAttribute<?>... attributes) throws IOException {
            below.createDirectory(checked(folder), attributes);
        }

        @Override
        public void createLink(Path link, Path existing) throws IOException {
            below.createLink(checked(link), checked(existing));
        }

        @Override
        public void delete(Path path) throws IOException {
            WindowsDisk.this.delete(path);
        }

        @Override
        public void copy(Path from, Path to, CopyOption... options) throws IOException {
            below.copy(checked(from), checked(to), options);
        }

        @Override
        public void move(Path from, Path to, CopyOption... options) throws IOException {
            WindowsDisk.this.move(from, to, options);
        }

        @Override
        public boolean isSameFile(Path one, Path other) throws IOException {
            return below.isSameFile(checked(one), checked(other));
        }

        @Override
        public boolean isHidden(Path path) {
            return false;
        }

        @Override
        public FileStore getFileStore(Path path) throws IOException {
            return below.getFileStore(checked(path));
        }

        @Override
        public void checkAccess(Path path, AccessMode... modes) throws IOException {
            below.checkAccess(checked(path), modes);
        }

        @Override
        public <V extends FileAttributeView> V getFileAttributeView(Path path, Class<V> type, LinkOption... options) {
            return below.getFileAttributeView(below(path), type, options);
        }

        /** Without the file's key. */
        @Override
        public <A extends BasicFileAttributes> A readAttributes(Path path, Class<A> type, LinkOption... options)
                throws IOException {
            A found = below.readAttributes(checked(path), type, options);
            return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (proxy, method, arguments) ->
                    method.getName().equals("fileKey") ? null : method.invoke(found, arguments)));
        }

        @Override
        public Map<String, Object> readAttributes(Path path, String attributes, LinkOption... options) throws IOException {
            return below.readAttributes(checked(path), attributes, options);
        }

        @Override
        public void setAttribute(Path path, String attribute, Object value, LinkOption... options) throws IOException {
            below.setAttribute(checked(path), attribute, value, options);
        }
    }
}
