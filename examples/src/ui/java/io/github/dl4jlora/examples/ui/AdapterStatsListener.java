package io.github.dl4jlora.examples.ui;

import org.deeplearning4j.core.storage.StatsStorageRouter;
import org.deeplearning4j.ui.model.stats.StatsListener;
import org.deeplearning4j.ui.model.stats.api.Histogram;
import org.deeplearning4j.ui.model.stats.api.StatsReport;
import org.deeplearning4j.ui.model.stats.api.StatsType;
import org.deeplearning4j.ui.model.stats.impl.SbeStatsReport;

import java.util.Map;
import java.util.stream.Collectors;

/**
 * DL4J's StatsListener, whose overview page knows weights by a name that ends in "w" and would leave out A and B of every
 * adapter: they are reported as {@code fc1_A.w} and {@code fc1_B.w}.
 */
final class AdapterStatsListener extends StatsListener {

    private static final long serialVersionUID = 1L;
    private static final String WEIGHTS = ".w";

    AdapterStatsListener(StatsStorageRouter router, String session) {
        super(router, 1, session);
    }

    @Override
    public StatsReport getNewStatsReport() {
        return new Report();
    }

    private static final class Report extends SbeStatsReport {

        private static final long serialVersionUID = 1L;

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
