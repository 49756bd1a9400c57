package io.github.dl4jlora.report.page;

import org.deeplearning4j.core.storage.StatsStorageRouter;
import org.deeplearning4j.ui.model.stats.StatsListener;
import org.deeplearning4j.ui.model.stats.api.Histogram;
import org.deeplearning4j.ui.model.stats.api.StatsReport;
import org.deeplearning4j.ui.model.stats.api.StatsType;
import org.deeplearning4j.ui.model.stats.impl.SbeStatsReport;

import java.util.Map;
import java.util.stream.Collectors;

/**
 * Shows A and B of every adapter on DL4J's training pages while it trains, in place of DL4J's {@link StatsListener}. The
 * overview knows weights by a name that ends in "w" and would leave out A and B, so they are reported as {@code fc1_A.w} and
 * {@code fc1_B.w}; in histograms they are called {@code W-A} and {@code W-B}.
 *
 * <pre>{@code
 * StatsStorage storage = new InMemoryStatsStorage();
 * UIServer.getInstance().attach(storage);                            // http://localhost:9000/train
 * tuned.addListeners(new AdapterStatsListener(storage));
 * tuned.fit(iterator, epochs);
 * }</pre>
 *
 * The class needs DL4J's {@code deeplearning4j-ui-model}, and the pages {@code deeplearning4j-vertx}, which brings that along.
 * Whoever reads what a FileStatsStorage kept, or gets figures from another process, needs this class too. The pages open
 * on the adapted network by themselves ({@link AdaptedFirst}).
 */
public final class AdapterStatsListener extends StatsListener {

    private static final long serialVersionUID = 2L;
    private static final String WEIGHTS = ".w";

    /**
     * Reports each iteration, under a name for the training that DL4J chooses.
     *
     * @param router where the figures go, such as an InMemoryStatsStorage
     */
    public AdapterStatsListener(StatsStorageRouter router) {
        super(router);
    }

    /**
     * @param router    where the figures go, such as an InMemoryStatsStorage
     * @param frequency 1 to report each iteration, 10 for every tenth
     * @param session   the name of the training, which the pages list
     */
    public AdapterStatsListener(StatsStorageRouter router, int frequency, String session) {
        super(router, frequency, session);
    }

    private AdapterStatsListener(AdapterStatsListener other) {
        super(other.getStorageRouter(), other.getInitConfig(), other.getUpdateConfig(), null, null);
    }

    /** For a copy of the network that trains beside it, as {@link StatsListener#clone()}: a session of its own. */
    @Override
    public AdapterStatsListener clone() {
        return new AdapterStatsListener(this);
    }

    @Override
    public StatsReport getNewStatsReport() {
        return new Report();
    }

    /** The figures of one iteration. Public, with a constructor, for DL4J alone: it makes them anew from files and messages. */
    public static final class Report extends SbeStatsReport {

        private static final long serialVersionUID = 1L;

        /** An empty one, which DL4J fills. */
        public Report() {
            // What SbeStatsReport does is all there is to do.
        }

        /** The page makes each name part of a selector, in which a dot means something else. */
        @Override
        public void reportHistograms(StatsType type, Map<String, Histogram> byName) {
            super.reportHistograms(type, byName.entrySet().stream()
                    .collect(Collectors.toMap(entry -> entry.getKey().replaceFirst("\\.(?=[AB]$)", "-"), Map.Entry::getValue)));
        }

        @Override
        public void reportStdev(StatsType type, Map<String, Double> byName) {
            super.reportStdev(type, type == StatsType.Activations ? byName : renamed(byName));
        }

        @Override
        public void reportMeanMagnitudes(StatsType type, Map<String, Double> byName) {
            super.reportMeanMagnitudes(type, type == StatsType.Activations ? byName : renamed(byName));
        }
    }

    /** Whether DL4J calls an A or a B so: {@code 0_A}, {@code fc1_B}, {@code lstm_RW.A}. */
    static boolean isOfAdapter(String parameter) {
        return parameter.matches(".*[_.][AB]");
    }

    private static Map<String, Double> renamed(Map<String, Double> byName) {
        return byName.entrySet().stream().collect(Collectors.toMap(
                entry -> isOfAdapter(entry.getKey()) ? entry.getKey() + WEIGHTS : entry.getKey(), Map.Entry::getValue));
    }
}
