package io.github.dl4jlora.internal.start;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * EVA's distribution of ranks: of the components of all layers, those that explain most of their layer's variance, as many as
 * there are to give. Paischer et al. 2024, arXiv:2410.07170, algorithm 1.
 */
public final class RankBudget {

    private record Component(String layer, double explained) {
    }

    private RankBudget() {
    }

    /**
     * How many components of each layer are among the strongest.
     *
     * @param explained by layer, the largest first, as many as the layer may get at most
     * @param total     how many there are to give
     * @return by layer, in that order; 0 for one that gets none
     */
    public static Map<String, Integer> distribute(Map<String, double[]> explained, int total) {
        List<Component> components = new ArrayList<>();
        Map<String, Integer> ranks = new LinkedHashMap<>();
        explained.forEach((layer, values) -> {
            ranks.put(layer, 0);
            for (double value : values) {
                components.add(new Component(layer, value));
            }
        });
        // The sort is stable: of equal ones the layer upstream is first.
        components.sort((one, other) -> Double.compare(other.explained, one.explained));
        components.stream().limit(total).forEach(component -> ranks.merge(component.layer, 1, Integer::sum));
        return ranks;
    }
}
