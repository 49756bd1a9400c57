package io.github.dl4jlora.examples.spark;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A standalone Spark cluster on this machine's loopback interface: one master and some workers, each in its own JVM, and the
 * executors that the workers start, one per worker. It needs no Spark installation: the classes are those of this JVM's class
 * path.
 */
final class LocalCluster implements AutoCloseable {

    private static final String LOOPBACK = "127.0.0.1";
    private static final Duration STARTING = Duration.ofMinutes(5);
    private static final Pattern MASTER_URL = Pattern.compile("Starting Spark master at (spark://\\S+)");
    private static final Pattern REGISTERED = Pattern.compile("(Successfully registered with master)");

    private final Path folder;
    private final List<Process> workers = new ArrayList<>();
    private Process master;
    private String url;

    private LocalCluster(Path folder) {
        this.folder = folder;
    }

    /**
     * Starts it and waits until every worker has found the master.
     *
     * @param folder for logs and the executors' working directories
     * @throws IOException if a process ends or is not ready in time; the message names its log
     */
    static LocalCluster start(Path folder, int workers) throws IOException {
        LocalCluster cluster = new LocalCluster(folder);
        // The cluster's processes end with the program.
        Runtime.getRuntime().addShutdownHook(new Thread(cluster::close, "end of the cluster"));
        try {
            Files.createDirectories(folder.resolve("home/jars"));
            cluster.master = cluster.process("master", Map.of(), "org.apache.spark.deploy.master.Master", "--host", LOOPBACK,
                    "--port", "0", "--webui-port", "0");
            cluster.url = cluster.await(cluster.master, "master", MASTER_URL);
            for (int i = 0; i < workers; i++) {
                // Executors inherit their worker's environment, and have a core each.
                Map<String, String> own = Map.of("OMP_NUM_THREADS", "1", GradientSharing.PORT_VARIABLE,
                        Integer.toString(GradientSharing.DRIVER_PORT + 1 + i));
                cluster.workers.add(cluster.process("worker-" + i, own, "org.apache.spark.deploy.worker.Worker", "--host",
                        LOOPBACK, "--port", "0", "--webui-port", "0", "--cores", "1", "--memory", "2g", "--work-dir",
                        cluster.workFolder(i).toString(), cluster.url));
            }
            for (int i = 0; i < workers; i++) {
                cluster.await(cluster.workers.get(i), "worker-" + i, REGISTERED);
            }
            return cluster;
        } catch (IOException | RuntimeException e) {
            cluster.close();
            throw e;
        }
    }

    /** For Spark's {@code master} setting. */
    String url() {
        return url;
    }

    /** Kills a worker and the executors that it started, as a power failure would. */
    void kill(int worker) {
        Process process = workers.get(worker);
        List<ProcessHandle> executors = process.descendants().toList();
        process.destroyForcibly();
        executors.forEach(ProcessHandle::destroyForcibly);
    }

    /** The worker that runs this executor of this application. */
    int workerOf(String application, String executor) {
        for (int i = 0; i < workers.size(); i++) {
            if (Files.isDirectory(workFolder(i).resolve(application).resolve(executor))) {
                return i;
            }
        }
        throw new IllegalArgumentException("No worker in " + folder + " has started executor " + executor + " of " + application);
    }

    /** The logs of the executors that a worker has started for this application. */
    List<String> executorLogs(String application, int worker) {
        try (var files = Files.find(workFolder(worker).resolve(application), 2, (path, attributes) -> path.endsWith("stderr"))) {
            List<String> logs = new ArrayList<>();
            for (Path file : files.toList()) {
                logs.add(Files.readString(file));
            }
            return logs;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void close() {
        List<Process> all = new ArrayList<>(workers);
        if (master != null) {
            all.add(master);
        }
        List<ProcessHandle> executors = all.stream().flatMap(Process::descendants).toList();
        all.forEach(Process::destroyForcibly);
        executors.forEach(ProcessHandle::destroyForcibly);
        all.forEach(process -> process.onExit().orTimeout(2, TimeUnit.MINUTES).join());
    }

    private Path workFolder(int worker) {
        return folder.resolve("work-" + worker);
    }

    private Process process(String name, Map<String, String> environment, String main, String... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(SparkSettings.java().toString(), "-Xmx256m", "-XX:TieredStopAtLevel=1",
                "-Dlogback.configurationFile=cluster-logback.xml"));
        command.addAll(SparkSettings.openPackages());
        command.addAll(List.of("-cp", SparkSettings.classPath(), main));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log(name).toFile());
        builder.environment().put("SPARK_LOCAL_IP", LOOPBACK);
        // Workers look for Spark's jars there; an empty folder will do, since executors get their class path from the job.
        builder.environment().put("SPARK_HOME", folder.resolve("home").toString());
        builder.environment().put("SPARK_SCALA_VERSION", "2.12");
        builder.environment().putAll(environment);
        return builder.start();
    }

    private Path log(String name) {
        return folder.resolve(name + ".log");
    }

    /** The first group of the pattern, as soon as the log has it. */
    private String await(Process process, String name, Pattern pattern) throws IOException {
        long end = System.nanoTime() + STARTING.toNanos();
        while (System.nanoTime() < end) {
            Matcher found = pattern.matcher(Files.readString(log(name)));
            if (found.find()) {
                return found.group(1);
            }
            if (!process.isAlive()) {
                throw new IOException("Spark's " + name + " ended with exit code " + process.exitValue() + ", see " + log(name));
            }
            try {
                Thread.sleep(50);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("Interrupted while Spark's " + name + " was starting", e);
            }
        }
        throw new IOException("Spark's " + name + " was not ready within " + STARTING.toSeconds() + " s, see " + log(name));
    }
}
