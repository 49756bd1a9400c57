package io.github.dl4jlora.evidence;

import io.github.dl4jlora.console.Markdown;
import io.github.dl4jlora.console.Origin;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The findings as a Markdown page, with pictures in a folder beside it. */
final class Page {

    private static final String COMMAND = "mvn -q -Pminilm -pl examples/evidence -am compile exec:exec@evidence";
    private static final String FOLDER = "evidence";

    private static final String BRIEF = "This is the short form, with one seed, one rate and one epoch. It shows that "
            + "everything works; the figures mean nothing.";

    private final List<Section> sections = new ArrayList<>();
    private final List<String> failed = new ArrayList<>();
    private final boolean brief;
    /** Sections whose pictures are written. */
    private int drawn;

    private record Section(Claim claim, Finding finding, double minutes) {

        long broken() {
            return finding.checks().stream().filter(Finding.Check::isBroken).count();
        }

        String verdict() {
            long holding = finding.checks().stream().filter(Finding.Check::holds).count();
            return holding == finding.checks().size() ? "holds" : broken() > 0 ? "**fails**"
                    : holding == 0 ? "does not hold here" : "holds in part";
        }

        String command() {
            return "mvn -q " + claim.profiles() + "-pl examples/evidence -am compile exec:exec@evidence -Dargs=\"--only "
                    + claim.id() + "\"";
        }
    }

    /** @param brief whether this is the short form, in which figures mean nothing */
    Page(boolean brief) {
        this.brief = brief;
    }

    void add(Claim claim, Finding finding, double minutes) {
        sections.add(new Section(claim, finding, minutes));
    }

    /** Of a claim whose examination failed. */
    void without(Claim claim) {
        failed.add(claim.id());
    }

    /** The number of figures outside their expected range; 0 in the short form. */
    long broken() {
        return brief ? 0 : sections.stream().mapToLong(Section::broken).sum();
    }

    private String text() {
        StringBuilder text = new StringBuilder("# Evidence\n\n").append(brief ? BRIEF : intro()).append("\n\n");
        if (!failed.isEmpty()) {
            text.append(Markdown.paragraph("**Missing**, since their examination failed: " + String.join(", ", failed)
                    + ".")).append("\n\n");
        }
        text.append(Markdown.paragraph("**To choose settings**, see the tables of [learning rates](#rates), [layers and "
                + "rank](#layers-minilm), [variants](#variants) and [starts](#starts). The guide says how to set them: "
                + "[rates](guide/adapt.md#which-learning-rate), "
                + "[layers](guide/adapt.md#choose-what-is-adapted), [variants](guide/variants.md).")).append("\n\n");
        List<List<String>> rows = sections.stream().map(section -> List.of("[" + section.claim.statement().says() + "](#"
                + section.claim.id() + ")", brief ? "not judged" : section.verdict(),
                String.format(Locale.ROOT, "%.1f", section.minutes))).toList();
        text.append(Markdown.table(List.of("claim", "here", "core minutes"), rows)).append("\n\n");
        sections.forEach(section -> append(text, section));
        return text.toString();
    }

    private String intro() {
        return Markdown.paragraph("What papers say about LoRA, examined with this library on real data. A program wrote this "
                + "page, including the figures:") + "\n\n    " + PictureClaims.SCRIPT + "\n    " + COMMAND + "\n\n"
                + Markdown.paragraph(String.format(Locale.ROOT, "It takes %.0f core minutes, here on %d cores "
                + "(`-Dargs=\"--short\"`: a tenth of that, to check that everything works), and fails if a figure is outside "
                + "its expected range. For each figure the page has what is published, what was measured here, the range that "
                + "is claimed, and the range that is expected, which is a different one if the claim is known not to hold here. "
                + "± is one standard deviation over seeds. Each training has its own thread, so that the number of cores makes "
                + "no difference. A processor that rounds differently changes rows a little, and another rate may do best there.",
                sections.stream().mapToDouble(Section::minutes).sum(),
                Runtime.getRuntime().availableProcessors())) + "\n\n" + origin();
    }

    /** What other pages that show these tables read from here. */
    private static String origin() {
        return Markdown.table(List.of("measured", "by"), Origin.facts().entrySet().stream()
                .map(fact -> List.of(fact.getKey(), fact.getValue())).toList()).replace("---:", "---");
    }

    private void append(StringBuilder text, Section section) {
        Claim.Statement claim = section.claim.statement();
        text.append("<a id=\"").append(claim.id()).append("\"></a>\n\n## ").append(claim.says()).append("\n\n");
        text.append(Markdown.paragraph(claim.source() + ". " + claim.published())).append("\n\n    ").append(section.command());
        section.finding.blocks().forEach(block -> text.append("\n\n").append(block));
        if (!brief) {
            text.append("\n\n").append(Markdown.table(List.of("checked", "published", "here", "claimed", "expected", ""),
                    section.finding.checks().stream().map(check -> List.of(check.what(), check.published(),
                            Finding.Check.figure(check.ours()), check.claimed().toString(), check.here().toString(),
                                    check.verdict())).toList()));
        }
        text.append("\n\n");
    }

    /**
     * Writes the page as it is so far, and pictures of what was added since it was written before.
     *
     * @param folder the same each time
     * @return the page's path
     */
    Path write(Path folder) throws IOException {
        Path pictures = Files.createDirectories(folder.resolve(FOLDER));
        for (Section section : sections.subList(drawn, sections.size())) {
            for (var plot : section.finding.plots().entrySet()) {
                Files.write(pictures.resolve(plot.getKey() + ".png"), plot.getValue().png());
            }
        }
        drawn = sections.size();
        return Files.writeString(folder.resolve("evidence.md"), text().stripTrailing() + "\n");
    }
}
