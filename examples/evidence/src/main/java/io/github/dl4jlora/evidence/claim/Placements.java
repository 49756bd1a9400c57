package io.github.dl4jlora.evidence.claim;

import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.Finding.Interval;
import io.github.dl4jlora.evidence.Finding;
import io.github.dl4jlora.evidence.Lab;
import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Rates;
import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.evidence.Training;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * The same number of trained values does more on many of an encoder's layers, at a low rank, than on few at a high rank.
 *
 * @param task   on an encoder as Transformer makes it
 * @param lowest of three rates, each three times the one before
 */
public record Placements(Task task, double lowest) implements Claim {

    private static final String PREFIX = "encoder\\.layer\\.\\d+\\.";
    // In a transformer layer of width h with a feed-forward part of 4h, a rank r takes 2hr values on each of the attention's four
    // matrices and 5hr on each of the other two: with 72h values the ranks are 36, 18, 9 and 4; 7 for feed-forward alone comes
    // close.
    private static final Method QUERY = on("query alone, rank 36", 36, "attention\\.self\\.query");
    private static final Method QUERY_VALUE = on("query and value, rank 18", 18, "attention\\.self\\.(query|value)");
    private static final Method ATTENTION = on("all four of attention, rank 9", 9,
            "attention\\.(self\\.(query|key|value)|output\\.dense)");
    private static final Method FEED_FORWARD = on("feed-forward, rank 7", 7, "(intermediate|output)\\.dense");
    private static final Method ALL = on("all six, rank 4", 4,
            "(attention\\.)?(self\\.(query|key|value)|(intermediate|output)\\.dense)");

    private static final int SEEDS = 3;
    private static final double FACTOR = 3;
    private static final int RATES = 3;
    /** Points by which a difference of two means of three seeds may miss what is claimed. */
    private static final double SLACK = 5;
    private static final double LOW = 50;
    private static final double HIGH = 100;

    private static Method on(String name, int rank, String layers) {
        return Method.loraOn(name, rank, List.of(PREFIX + layers));
    }

    /** {@return the ways to spend the same number of values, from few layers to many} */
    static List<Method> placements() {
        return List.of(QUERY, QUERY_VALUE, ATTENTION, FEED_FORWARD, ALL);
    }

    @Override
    public Statement statement() {
        return new Statement("layers",
                "With the same number of trained values, a low rank on all layers learns more than a high rank on few",
                new Source("Hu et al. 2021, \"LoRA: Low-Rank Adaptation of Large Language Models\", section 7.1, "
                        + "[arXiv:2106.09685](https://arxiv.org/abs/2106.09685); Biderman et al. 2024, \"LoRA Learns Less and "
                        + "Forgets Less\"", "2405.09673"),
                "The former: GPT-3 with 18 million values, WikiSQL: query alone at rank 8 70.4 %, query and value at rank 4 and "
                        + "all four of attention at rank 2 73.7 %. The latter, and [LoRA Without "
                        + "Regret](https://thinkingmachines.ai/blog/lora/): all layers learn more than attention alone, most of "
                        + "it due to the feed-forward part.");
    }

    @Override
    public Finding examine(Lab lab) {
        long[] seeds = lab.seeds(SEEDS);
        Rates learned = new Rates(lab, task, placements(), lab.rates(lowest, FACTOR, RATES), seeds);
        List<List<String>> rows = new ArrayList<>();
        for (Method method : placements()) {
            Training one = new Training(task, method, learned.bestRate(method), seeds[0]);
            rows.add(List.of(method.name(), String.format(Locale.ROOT, "%,d", lab.run(List.of(one)).get(one).values()),
                    String.format(Locale.ROOT, "%.1e", learned.bestRate(method)), learned.bestLearned(method).toString(1)));
        }
        Finding finding = new Finding().plot("layers", learned.plot("Layers, " + task.name(), LOW, HIGH))
                .table(List.of("adapters on", "trained values", "best rate", "learned, %"), rows);
        learned.tellEdges(finding);
        tell(finding, "all four of attention, less query alone", "3.3", ahead(learned, ATTENTION, QUERY), 1);
        tell(finding, "query and value, less query alone", "3.3", ahead(learned, QUERY_VALUE, QUERY), 1);
        tell(finding, "all six, less query alone", "above 0", ahead(learned, ALL, QUERY), 0.5);
        tell(finding, "all six, less the best of the others", "about 0", placements().stream().filter(method -> method != ALL)
                .mapToDouble(method -> ahead(learned, ALL, method)).min().orElseThrow(), -1);
        tell(finding, "feed-forward, less all four of attention", "above 0", ahead(learned, FEED_FORWARD, ATTENTION), 0);
        return finding;
    }

    private static void tell(Finding finding, String what, String published, double points, double claimed) {
        finding.check(what + ", points", published, points, Interval.atLeast(claimed), Interval.atLeast(claimed - SLACK));
    }

    private static double ahead(Rates learned, Method method, Method other) {
        return learned.bestLearned(method).mean() - learned.bestLearned(other).mean();
    }
}
